{ fetchFromGitHub }:
let
  version = "1.12.1";
in
(fetchFromGitHub {
  name = "dagster-src-${version}";
  owner = "dagster-io";
  repo = "dagster";
  tag = version;
  hash = "sha256-YlPloFELPPgEQk0/dxNYRj0jtG6/qx6NBUr0XUOKl+Q=";
})
// {
  inherit version;
}

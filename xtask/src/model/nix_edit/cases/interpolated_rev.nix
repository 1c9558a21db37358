let
  version = "1.12.1";
in
fetchFromGitHub {
  name = "dagster-${version}-source";
  owner = "dagster-io";
  repo = "dagster";
  rev = "refs/tags/${version}";
  hash = "sha256-YlPloFELPPgEQk0/dxNYRj0jtG6/qx6NBUr0XUOKl+Q=";
}

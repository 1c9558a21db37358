{ fetchFromGitHub, fetchurl }:
let
  version = "1.12.1";
in
{
  src = fetchFromGitHub {
    owner = "dagster-io";
    repo = "dagster";
    tag = version;
    hash = "sha256-YlPloFELPPgEQk0/dxNYRj0jtG6/qx6NBUr0XUOKl+Q=";
  };
  docs = fetchurl {
    url = "https://example.org/dagster-${version}.pdf";
    hash = "sha256-pQpattmS9VmO3ZIQUFn66az8GSmB4IvYhTTCFn6SUmo=";
  };
}

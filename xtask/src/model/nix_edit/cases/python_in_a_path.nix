{ fetchFromGitHub, python313 }:
{
  src = fetchFromGitHub {
    owner = "dagster-io";
    repo = "dagster";
    tag = "1.12.1";
    hash = "sha256-YlPloFELPPgEQk0/dxNYRj0jtG6/qx6NBUr0XUOKl+Q=";
  };
  patches = [ ./python3.13/no-network.patch ];
}

{ fetchFromGitHub }:
{
  version = "1.12.1";
  src = fetchFromGitHub {
    owner = "dagster-io";
    repo = "dagster";
    rev = "1123456789abcdef0123456789abcdef01234567";
    hash = "sha256-YlPloFELPPgEQk0/dxNYRj0jtG6/qx6NBUr0XUOKl+Q=";
  };
}

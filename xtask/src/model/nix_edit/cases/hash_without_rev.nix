fetchFromGitHub {
  owner = "dagster-io";
  repo = "dagster";
  hash = "sha256-YlPloFELPPgEQk0/dxNYRj0jtG6/qx6NBUr0XUOKl+Q=";
}

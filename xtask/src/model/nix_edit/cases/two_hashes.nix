fetchFromGitHub {
  owner = "dagster-io";
  repo = "dagster";
  rev = "1.12.1";
  hash = "sha256-YlPloFELPPgEQk0/dxNYRj0jtG6/qx6NBUr0XUOKl+Q=";
  sha256 = "sha256-YlPloFELPPgEQk0/dxNYRj0jtG6/qx6NBUr0XUOKl+Q=";
}

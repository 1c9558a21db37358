{ pkgs }:
pkgs.fetchFromGitHub {
  owner = "dagster-io";
  repo = "dagster";
  rev = "refs/tags/1.12.1"; # not the branch
  sha256 = "sha256-YlPloFELPPgEQk0/dxNYRj0jtG6/qx6NBUr0XUOKl+Q=";
}

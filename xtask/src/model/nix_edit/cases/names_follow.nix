{ symlinkJoin, runCommand, fetchFromGitHub }:
let
  src = fetchFromGitHub {
    owner = "dagster-io";
    repo = "dagster";
    tag = "1.12.1";
    hash = "sha256-YlPloFELPPgEQk0/dxNYRj0jtG6/qx6NBUr0XUOKl+Q=";
  };
in
symlinkJoin {
  name = "dagster-complete-1.12.1";
  paths = [ (runCommand "dagster-1.12.1" { } "cp -r ${src} $out") ];
}

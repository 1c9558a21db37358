{ stdenv, fetchFromGitHub }:
let
  owner = "dagster-io";
  repo = "dagster";
  version = "1.12.1";
in
stdenv.mkDerivation {
  pname = "dagster";
  inherit version;
  src = fetchFromGitHub {
    inherit owner repo;
    rev = "${version}";
    hash = "sha256-YlPloFELPPgEQk0/dxNYRj0jtG6/qx6NBUr0XUOKl+Q=";
  };
}

{ lib, fetchFromGitHub }:
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
  isNew = lib.versionAtLeast version "1.12.1";
  isOld = lib.versionOlder version ("1.12.1");
}

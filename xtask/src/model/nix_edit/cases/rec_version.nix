{ buildPythonPackage, fetchFromGitHub }:
buildPythonPackage rec {
  pname = "dagster";
  version = "1.12.1";
  src = fetchFromGitHub {
    owner = "dagster-io";
    repo = "dagster";
    tag = version;
    hash = "sha256-YlPloFELPPgEQk0/dxNYRj0jtG6/qx6NBUr0XUOKl+Q=";
  };
}

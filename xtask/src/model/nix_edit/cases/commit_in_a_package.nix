{ python312Packages, fetchFromGitHub }:
python312Packages.buildPythonPackage rec {
  pname = "dagster";
  version = "1.12.1";
  src = fetchFromGitHub {
    owner = "dagster-io";
    repo = pname;
    rev = "0123456789ABCDEF0123456789abcdef01234567"; # 1.12.1
    hash = "sha256-YlPloFELPPgEQk0/dxNYRj0jtG6/qx6NBUr0XUOKl+Q=";
  };
}

{ fetchFromGitHub, python3, python3Packages, antlr4-python3-runtime }:
python3Packages.buildPythonPackage {
  src = fetchFromGitHub {
    owner = "dagster-io";
    repo = "dagster";
    tag = "1.12.1";
    hash = "sha256-YlPloFELPPgEQk0/dxNYRj0jtG6/qx6NBUr0XUOKl+Q=";
  };
  postFixup = "ln -s ${python3} $out/lib/python3.13";
}

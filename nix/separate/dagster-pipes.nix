{
  lib,
  python313,
  dagster-src,
}:

let
  pythonPackages = python313.pkgs;
in
pythonPackages.buildPythonPackage {
  pname = "dagster-pipes";
  inherit (dagster-src) version;
  pyproject = true;

  src = "${dagster-src}/python_modules/dagster-pipes";

  build-system = [ pythonPackages.setuptools ];

  pythonImportsCheck = [ "dagster_pipes" ];

  meta = {
    description = "Toolkit for Dagster to launch and observe external processes";
    homepage = "https://dagster.io";
    changelog = "https://github.com/dagster-io/dagster/releases/tag/${dagster-src.version}";
    license = lib.licenses.asl20;
    platforms = lib.platforms.unix;
  };
}

{
  lib,
  python313,
  dagster-src,
}:

let
  inherit (dagster-src) version;

  pythonPackages = python313.pkgs;
in
# Upstream split this package off in 1.10.6.
if lib.versionOlder version "1.10.6" then
  throw "Dagster ${version} has no dagster-shared: it came with 1.10.6"
else
  pythonPackages.buildPythonPackage {
    pname = "dagster-shared";
    # Numbered like upstream's integrations until it joined the others.
    version =
      if lib.versionOlder version "1.10.18" then "0.26.${lib.versions.patch version}" else version;
    pyproject = true;

    src = "${dagster-src}/python_modules/libraries/dagster-shared";

    build-system = [ pythonPackages.setuptools ];

    dependencies = [
      pythonPackages.packaging
      pythonPackages.platformdirs
      pythonPackages.pydantic
      pythonPackages.pyyaml
      pythonPackages.tomlkit
      pythonPackages.typing-extensions
    ];

    # Every upper bound of upstream's: nixpkgs moves on without asking. Kept by the tool.
    pythonRelaxDeps = [
      "pydantic"
      "typing_extensions"
    ];

    pythonImportsCheck = [ "dagster_shared" ];

    meta = {
      description = "Code that Dagster's packages share";
      homepage = "https://dagster.io";
      changelog = "https://github.com/dagster-io/dagster/releases/tag/${version}";
      license = lib.licenses.asl20;
      platforms = lib.platforms.unix;
    };
  }

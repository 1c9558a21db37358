{
  lib,
  fetchPypi,
  python313,
  dagster-src,
  dagster,
  dagster-graphql,
}:

let
  pythonPackages = python313.pkgs;

  dependencies = [
    dagster
    dagster-graphql
    pythonPackages.click
    pythonPackages.starlette
    pythonPackages.uvicorn
    # of uvicorn[standard]
    pythonPackages.httptools
    pythonPackages.python-dotenv
    pythonPackages.pyyaml
    pythonPackages.uvloop
    pythonPackages.watchfiles
    pythonPackages.websockets
  ];
in
pythonPackages.buildPythonPackage {
  pname = "dagster-webserver";
  inherit (dagster-src) version;
  format = "wheel";

  # Not from dagster-src: only the distributions on PyPI have the built UI. The wheel, because its
  # name is the same in every release and the sdist's is not.
  src = fetchPypi {
    pname = "dagster_webserver";
    inherit (dagster-src) version;
    format = "wheel";
    dist = "py3";
    python = "py3";
    hash = "sha256-9CaA9m+CP0S++SmzGFOgiEifQ4/l9qCJapiOUrO0R7w=";
  };

  inherit dependencies;

  # Every upper bound of upstream's: nixpkgs moves on without asking. Kept by the tool.
  pythonRelaxDeps = [ "click" ];

  dontWrapPythonPrograms = true;
  postFixup = dagster.installCommands "dagster-webserver" dependencies;

  pythonImportsCheck = [ "dagster_webserver" ];

  meta = {
    description = "Web UI of Dagster";
    homepage = "https://dagster.io";
    changelog = "https://github.com/dagster-io/dagster/releases/tag/${dagster-src.version}";
    license = lib.licenses.asl20;
    mainProgram = "dagster-webserver";
    platforms = lib.platforms.unix;
  };
}

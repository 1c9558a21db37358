{
  lib,
  fetchPypi,
  python312,
  python312Packages,
  dagster-src,
  dagster,
  dagster-graphql,
}:

let
  dependencies = [
    dagster
    dagster-graphql
    python312Packages.click
    python312Packages.starlette
    python312Packages.uvicorn
    # of uvicorn[standard]
    python312Packages.httptools
    python312Packages.python-dotenv
    python312Packages.pyyaml
    python312Packages.uvloop
    python312Packages.watchfiles
    python312Packages.websockets
  ];
in
python312Packages.buildPythonPackage {
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

  # For child processes, as in dagster.nix.
  makeWrapperArgs = [
    "--prefix"
    "PYTHONPATH"
    ":"
    "${placeholder "out"}/${python312.sitePackages}:${python312Packages.makePythonPath dependencies}"
  ];

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

{
  lib,
  python312,
  python312Packages,
  dagster-src,
  dagster-pipes,
  dagster-shared,
}:

let
  inherit (dagster-src) version;

  dependencies = [
    dagster-pipes
    python312Packages.alembic
    python312Packages.antlr4-python3-runtime
    python312Packages.click
    python312Packages.coloredlogs
    python312Packages.docstring-parser
    python312Packages.filelock
    python312Packages.grpcio
    python312Packages.grpcio-health-checking
    python312Packages.jinja2
    python312Packages.protobuf
    python312Packages.python-dotenv
    python312Packages.pytz
    python312Packages.requests
    python312Packages.rich
    python312Packages.setuptools
    python312Packages.six
    python312Packages.sqlalchemy
    python312Packages.structlog
    python312Packages.tabulate
    python312Packages.tomli
    python312Packages.toposort
    python312Packages.tqdm
    python312Packages.tzdata
    python312Packages.universal-pathlib
    python312Packages.watchdog
  ]
  ++ lib.optionals (lib.versionAtLeast version "1.10.6") [
    dagster-shared
  ]
  # These moved to dagster-shared.
  ++ lib.optionals (lib.versionOlder version "1.10.18") [
    python312Packages.packaging
    python312Packages.pydantic
    python312Packages.pyyaml
    python312Packages.typing-extensions
  ];
in
python312Packages.buildPythonPackage {
  pname = "dagster";
  inherit version;
  pyproject = true;

  src = "${dagster-src}/python_modules/dagster";

  build-system = [ python312Packages.setuptools ];

  inherit dependencies;

  # nixpkgs is ahead of upstream's upper bounds.
  pythonRelaxDeps = [
    "click"
    "coloredlogs"
    "protobuf"
  ];

  # Dagster runs code locations, the daemon's runs and so on as `sys.executable -m dagster`. The bare
  # interpreter of a wrapped script sees no packages, so children get the closure by PYTHONPATH.
  makeWrapperArgs = [
    "--prefix"
    "PYTHONPATH"
    ":"
    "${placeholder "out"}/${python312.sitePackages}:${python312Packages.makePythonPath dependencies}"
  ];

  pythonImportsCheck = [ "dagster" ];

  meta = {
    description = "Data orchestration platform for the development, production and observation of data assets";
    homepage = "https://dagster.io";
    changelog = "https://github.com/dagster-io/dagster/releases/tag/${version}";
    license = lib.licenses.asl20;
    mainProgram = "dagster";
    platforms = lib.platforms.unix;
  };
}

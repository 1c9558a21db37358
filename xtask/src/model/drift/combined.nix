# What the test of the history starts from: 1.12.1, with nothing foreseen.
{
  fetchFromGitHub,
  fetchPypi,
  python312Packages,
  stdenvNoCC,
}:

let
  version = "1.12.1";

  dagster-src = fetchFromGitHub {
    owner = "dagster-io";
    repo = "dagster";
    tag = version;
    hash = "sha256-YlPloFELPPgEQk0/dxNYRj0jtG6/qx6NBUr0XUOKl+Q=";
  };

  dagster-pipes = python312Packages.buildPythonPackage {
    pname = "dagster-pipes";
    inherit version;
    pyproject = true;

    src = "${dagster-src}/python_modules/dagster-pipes";

    build-system = [ python312Packages.setuptools ];
  };

  dagster-shared = python312Packages.buildPythonPackage {
    pname = "dagster-shared";
    inherit version;
    pyproject = true;

    src = "${dagster-src}/python_modules/libraries/dagster-shared";

    build-system = [ python312Packages.setuptools ];

    dependencies = [
      python312Packages.packaging
      python312Packages.platformdirs
      python312Packages.pydantic
      python312Packages.pyyaml
      python312Packages.tomlkit
      python312Packages.typing-extensions
    ];
  };

  dagster = python312Packages.buildPythonPackage {
    pname = "dagster";
    inherit version;
    pyproject = true;

    src = "${dagster-src}/python_modules/dagster";

    build-system = [ python312Packages.setuptools ];

    dependencies = [
      dagster-pipes
      dagster-shared
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
    ];

    pythonRelaxDeps = [ "coloredlogs" ];
  };

  dagster-graphql = python312Packages.buildPythonPackage {
    pname = "dagster-graphql";
    inherit version;
    pyproject = true;

    src = "${dagster-src}/python_modules/dagster-graphql";

    build-system = [ python312Packages.setuptools ];

    dependencies = [
      dagster
      python312Packages.gql
      python312Packages.graphene
      python312Packages.requests
      python312Packages.requests-toolbelt # of gql[requests]
      python312Packages.starlette
    ];
  };

  dagster-webserver = python312Packages.buildPythonPackage {
    pname = "dagster-webserver";
    inherit version;
    format = "wheel";

    src = fetchPypi {
      pname = "dagster_webserver";
      inherit version;
      format = "wheel"; python = "py3";
      hash = "sha256-9CaA9m+CP0S++SmzGFOgiEifQ4/l9qCJapiOUrO0R7w=";
    };

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
  };
in
stdenvNoCC.mkDerivation {
  pname = "dagster-complete";
  inherit version;

  commands = [
    "dagster"
    "dagster-daemon"
    "dagster-graphql"
    "dagster-webserver"
    "dagster-webserver-debug"
  ];

  buildCommand = "link ${dagster-webserver} $commands";
}

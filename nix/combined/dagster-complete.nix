# Dagster in one package: one Python environment behind Dagster's commands, and nothing else in `bin/`.
#
# Complete in itself: the source, the five packages and the environment are here, as let bindings. The
# five are the same derivations as those of nix/separate (a check compares them), so whoever builds
# both variants builds them once.
{
  lib,
  fetchFromGitHub,
  fetchPypi,
  python312,
  python312Packages,
  stdenvNoCC,
}:

let
  version = "1.12.1";

  # Upstream split dagster-shared off in 1.10.6.
  hasShared = lib.versionAtLeast version "1.10.6";

  changelog = "https://github.com/dagster-io/dagster/releases/tag/${version}";

  dagster-src = fetchFromGitHub {
    # Nix finds a fixed output by its name and hash, wherever it comes from. With the version in the
    # name, a new version over a forgotten old hash is fetched and refused, never taken for the new one.
    name = "dagster-src-${version}";
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

    pythonImportsCheck = [ "dagster_pipes" ];

    meta = {
      inherit changelog;
      license = lib.licenses.asl20;
    };
  };

  dagster-shared = python312Packages.buildPythonPackage {
    pname = "dagster-shared";
    # Numbered like upstream's integrations until it joined the others.
    version =
      if lib.versionOlder version "1.10.18" then "0.26.${lib.versions.patch version}" else version;
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

    pythonImportsCheck = [ "dagster_shared" ];

    meta = {
      inherit changelog;
      license = lib.licenses.asl20;
    };
  };

  dagster-dependencies = [
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
  ++ lib.optionals hasShared [
    dagster-shared
  ]
  # These moved to dagster-shared.
  ++ lib.optionals (lib.versionOlder version "1.10.18") [
    python312Packages.packaging
    python312Packages.pydantic
    python312Packages.pyyaml
    python312Packages.typing-extensions
  ];

  dagster = python312Packages.buildPythonPackage {
    pname = "dagster";
    inherit version;
    pyproject = true;

    src = "${dagster-src}/python_modules/dagster";

    build-system = [ python312Packages.setuptools ];

    dependencies = dagster-dependencies;

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
      "${placeholder "out"}/${python312.sitePackages}:${python312Packages.makePythonPath dagster-dependencies}"
    ];

    pythonImportsCheck = [ "dagster" ];

    meta = {
      inherit changelog;
      license = lib.licenses.asl20;
    };
  };

  dagster-graphql-dependencies = [
    dagster
    python312Packages.gql
    python312Packages.graphene
    python312Packages.requests
    python312Packages.requests-toolbelt # of gql[requests]
    python312Packages.starlette
  ];

  dagster-graphql = python312Packages.buildPythonPackage {
    pname = "dagster-graphql";
    inherit version;
    pyproject = true;

    src = "${dagster-src}/python_modules/dagster-graphql";

    build-system = [ python312Packages.setuptools ];

    dependencies = dagster-graphql-dependencies;

    # nixpkgs is ahead of upstream's upper bound.
    pythonRelaxDeps = [ "gql" ];

    # For child processes, as in dagster.
    makeWrapperArgs = [
      "--prefix"
      "PYTHONPATH"
      ":"
      "${placeholder "out"}/${python312.sitePackages}:${python312Packages.makePythonPath dagster-graphql-dependencies}"
    ];

    pythonImportsCheck = [ "dagster_graphql" ];

    meta = {
      inherit changelog;
      license = lib.licenses.asl20;
    };
  };

  dagster-webserver-dependencies = [
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

  dagster-webserver = python312Packages.buildPythonPackage {
    pname = "dagster-webserver";
    inherit version;
    format = "wheel";

    # Not from dagster-src: only the distributions on PyPI have the built UI. The wheel, because its
    # name is the same in every release and the sdist's is not.
    src = fetchPypi {
      pname = "dagster_webserver";
      inherit version;
      format = "wheel";
      dist = "py3";
      python = "py3";
      hash = "sha256-9CaA9m+CP0S++SmzGFOgiEifQ4/l9qCJapiOUrO0R7w=";
    };

    dependencies = dagster-webserver-dependencies;

    # For child processes, as in dagster.
    makeWrapperArgs = [
      "--prefix"
      "PYTHONPATH"
      ":"
      "${placeholder "out"}/${python312.sitePackages}:${python312Packages.makePythonPath dagster-webserver-dependencies}"
    ];

    pythonImportsCheck = [ "dagster_webserver" ];

    meta = {
      inherit changelog;
      license = lib.licenses.asl20;
    };
  };

  # One environment, so that Dagster's processes find all of each other: `dagster dev` starts the
  # webserver and the daemon as modules.
  env = python312.withPackages (
    _:
    [
      dagster-pipes
      dagster
      dagster-graphql
      dagster-webserver
    ]
    ++ lib.optionals hasShared [
      dagster-shared
    ]
  );
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
  ]
  # for the time that it was part of dagster
  ++ lib.optionals (lib.versionAtLeast version "1.10.12" && lib.versionOlder version "1.10.19") [
    "dagster-components"
  ];

  buildCommand = ''
    mkdir -p $out/bin $out/lib/python3.12
    # by name, so that one that upstream dropped stops the build
    for command in $commands; do
      test -x ${env}/bin/$command
      ln -s ${env}/bin/$command $out/bin/$command
    done
    ln -s ${env}/${python312.sitePackages} $out/${python312.sitePackages}
  '';

  passthru = {
    inherit
      dagster-src
      dagster-pipes
      dagster-shared
      dagster
      dagster-graphql
      dagster-webserver
      env
      ;
  };

  meta = {
    description = "Dagster, its web UI, daemon and GraphQL API in one package";
    homepage = "https://dagster.io";
    inherit changelog;
    license = lib.licenses.asl20;
    mainProgram = "dagster";
    platforms = lib.platforms.unix;
  };
}

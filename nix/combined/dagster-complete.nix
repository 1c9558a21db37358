# Dagster in one package: one Python environment behind Dagster's commands, and nothing else in `bin/`.
#
# Complete in itself: the source, the five packages and the environment are here, as let bindings. The
# five are the same derivations as those of nix/separate (a check compares them), so whoever builds
# both variants builds them once.
{
  lib,
  fetchFromGitHub,
  fetchPypi,
  python313,
  stdenvNoCC,
}:

let
  version = "1.12.1";

  python = python313;
  pythonPackages = python.pkgs;

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

  dagster-pipes = pythonPackages.buildPythonPackage {
    pname = "dagster-pipes";
    inherit version;
    pyproject = true;

    src = "${dagster-src}/python_modules/dagster-pipes";

    build-system = [ pythonPackages.setuptools ];

    pythonImportsCheck = [ "dagster_pipes" ];

    meta = {
      inherit changelog;
      license = lib.licenses.asl20;
    };
  };

  dagster-shared = pythonPackages.buildPythonPackage {
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
      inherit changelog;
      license = lib.licenses.asl20;
    };
  };

  # Makes the commands of a package find what it needs by where they stand, with nothing exported that
  # another interpreter would read. `lib/dagster/PACKAGE` is laid out like a virtual environment: its
  # interpreter has the packages on its path, and so has each process that Dagster starts as
  # `sys.executable`. A command runs by the one of the profile that it was called in, which also finds
  # what is installed there, with what that needs: `dagster dev` starts a webserver beside it.
  installCommands = package: dependencies: ''
    home=$out/lib/dagster/${package}
    mkdir -p $home/bin $home/${python.sitePackages} $out/lib/dagster/${python.libPrefix}
    ln -s ${python.interpreter} $home/bin/${python.executable}
    printf 'home = %s\ninclude-system-site-packages = false\n' ${python}/bin > $home/pyvenv.cfg
    echo $out/${python.sitePackages}:${pythonPackages.makePythonPath dependencies} \
      > $out/lib/dagster/${python.libPrefix}/${package}

    echo "import _dagster_packages" > $home/${python.sitePackages}/packages.pth
    cat > $home/${python.sitePackages}/_dagster_packages.py <<'EOF'
    """Adds the packages that belong to this interpreter: its own, those beside it, the profile's."""

    import os
    import site
    import sys

    own = os.path.basename(sys.prefix)
    version = "python%d.%d" % sys.version_info[:2]
    lib = os.path.dirname(os.path.dirname(sys.prefix))
    lists = os.path.join(lib, "dagster", version)
    paths = []
    for package in sorted(os.listdir(lists), key=lambda package: (package != own, package)):
        with open(os.path.join(lists, package)) as file:
            paths += file.read().strip().split(":")
    paths.append(os.path.join(lib, version, "site-packages"))
    known = site._init_pathinfo()
    for path in dict.fromkeys(filter(None, paths)):
        site.addsitedir(path, known)
    EOF

    for command in $out/bin/*; do
      mv $command $home/bin
      cat > $command <<'EOF'
    #!${python.interpreter} -IS
    """Runs this command by the interpreter of the first profile on the way to it."""

    import os
    import sys

    name = os.path.basename(os.path.realpath(__file__))
    here = os.path.abspath(sys.argv[0])
    while True:
        profile = os.path.dirname(os.path.dirname(here))
        home = os.path.join(profile, "lib/dagster/${package}/bin")
        python = os.path.join(home, "${python.executable}")
        if os.path.exists(python) or not os.path.islink(here):
            os.execv(python, [python, os.path.join(home, name), *sys.argv[1:]])
        here = os.path.join(os.path.dirname(here), os.readlink(here))
    EOF
      chmod +x $command
    done
  '';

  dagster-dependencies = [
    dagster-pipes
    pythonPackages.alembic
    pythonPackages.antlr4-python3-runtime
    pythonPackages.click
    pythonPackages.coloredlogs
    pythonPackages.docstring-parser
    pythonPackages.filelock
    pythonPackages.grpcio
    pythonPackages.grpcio-health-checking
    pythonPackages.jinja2
    pythonPackages.protobuf
    pythonPackages.python-dotenv
    pythonPackages.pytz
    pythonPackages.requests
    pythonPackages.rich
    pythonPackages.setuptools
    pythonPackages.six
    pythonPackages.sqlalchemy
    pythonPackages.structlog
    pythonPackages.tabulate
    pythonPackages.tomli
    pythonPackages.toposort
    pythonPackages.tqdm
    pythonPackages.tzdata
    pythonPackages.universal-pathlib
    pythonPackages.watchdog
  ]
  ++ lib.optionals hasShared [
    dagster-shared
  ]
  # These moved to dagster-shared.
  ++ lib.optionals (lib.versionOlder version "1.10.18") [
    pythonPackages.packaging
    pythonPackages.pydantic
    pythonPackages.pyyaml
    pythonPackages.typing-extensions
  ];

  dagster = pythonPackages.buildPythonPackage {
    pname = "dagster";
    inherit version;
    pyproject = true;

    src = "${dagster-src}/python_modules/dagster";

    build-system = [ pythonPackages.setuptools ];

    dependencies = dagster-dependencies;

    # Every upper bound of upstream's: nixpkgs moves on without asking. Kept by the tool.
    pythonRelaxDeps = [
      "click"
      "coloredlogs"
      "protobuf"
      "sqlalchemy"
      "tomli"
      "tqdm"
      "watchdog"
    ];

    dontWrapPythonPrograms = true;
    postFixup = installCommands "dagster" dagster-dependencies;

    pythonImportsCheck = [ "dagster" ];

    meta = {
      inherit changelog;
      license = lib.licenses.asl20;
      mainProgram = "dagster";
    };
  };

  dagster-graphql-dependencies = [
    dagster
    pythonPackages.gql
    pythonPackages.graphene
    pythonPackages.requests
    pythonPackages.requests-toolbelt # of gql[requests]
    pythonPackages.starlette
  ];

  dagster-graphql = pythonPackages.buildPythonPackage {
    pname = "dagster-graphql";
    inherit version;
    pyproject = true;

    src = "${dagster-src}/python_modules/dagster-graphql";

    build-system = [ pythonPackages.setuptools ];

    dependencies = dagster-graphql-dependencies;

    # Every upper bound of upstream's: nixpkgs moves on without asking. Kept by the tool.
    pythonRelaxDeps = [
      "gql"
      "graphene"
    ];

    dontWrapPythonPrograms = true;
    postFixup = installCommands "dagster-graphql" dagster-graphql-dependencies;

    pythonImportsCheck = [ "dagster_graphql" ];

    meta = {
      inherit changelog;
      license = lib.licenses.asl20;
      mainProgram = "dagster-graphql";
    };
  };

  dagster-webserver-dependencies = [
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

  dagster-webserver = pythonPackages.buildPythonPackage {
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

    # Every upper bound of upstream's: nixpkgs moves on without asking. Kept by the tool.
    pythonRelaxDeps = [ "click" ];

    dontWrapPythonPrograms = true;
    postFixup = installCommands "dagster-webserver" dagster-webserver-dependencies;

    pythonImportsCheck = [ "dagster_webserver" ];

    meta = {
      inherit changelog;
      license = lib.licenses.asl20;
      mainProgram = "dagster-webserver";
    };
  };

  # The packages and all they need, in one directory.
  env = python.withPackages (
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
in
stdenvNoCC.mkDerivation {
  pname = "dagster-complete";
  inherit version commands;

  buildCommand = ''
    mkdir -p $out/bin $out/lib/${python.libPrefix}
    ln -s ${env}/${python.sitePackages} $out/${python.sitePackages}
    # by name, so that one that upstream dropped stops the build
    for command in ${toString commands}; do
      cp ${env}/lib/dagster/*/bin/$command $out/bin
    done
    ${installCommands "dagster-complete" [ ]}
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

{
  lib,
  python313,
  dagster-src,
  dagster-pipes,
  dagster-shared,
}:

let
  inherit (dagster-src) version;

  python = python313;
  pythonPackages = python.pkgs;

  dependencies = [
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
  ++ lib.optionals (lib.versionAtLeast version "1.10.6") [
    dagster-shared
  ]
  # These moved to dagster-shared.
  ++ lib.optionals (lib.versionOlder version "1.10.18") [
    pythonPackages.packaging
    pythonPackages.pydantic
    pythonPackages.pyyaml
    pythonPackages.typing-extensions
  ];

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
in
pythonPackages.buildPythonPackage {
  pname = "dagster";
  inherit version;
  pyproject = true;

  src = "${dagster-src}/python_modules/dagster";

  build-system = [ pythonPackages.setuptools ];

  inherit dependencies;

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
  postFixup = installCommands "dagster" dependencies;

  pythonImportsCheck = [ "dagster" ];

  passthru = {
    inherit installCommands;
  };

  meta = {
    description = "Data orchestration platform for the development, production and observation of data assets";
    homepage = "https://dagster.io";
    changelog = "https://github.com/dagster-io/dagster/releases/tag/${version}";
    license = lib.licenses.asl20;
    mainProgram = "dagster";
    platforms = lib.platforms.unix;
  };
}

{ fetchFromGitHub, python313Packages }:
python313Packages.buildPythonPackage {
  src = fetchFromGitHub {
    owner = "dagster-io";
    repo = "dagster";
    tag = "1.12.1";
    hash = "sha256-YlPloFELPPgEQk0/dxNYRj0jtG6/qx6NBUr0XUOKl+Q=";
  };
  # lib/python3.13 is where modules are
  postInstall = ''
    mkdir -p $out/bin
    ln -s $out/lib/python3.13/site-packages $out/modules
  '';
}

# built with python313
{ pkgs, fetchFromGitHub, python313, python313Packages }:
let
  python = python313; # was python311
  inherit (pkgs) python313Full;
  src = fetchFromGitHub {
    owner = "dagster-io";
    repo = "dagster";
    tag = "1.12.1";
    hash = "sha256-YlPloFELPPgEQk0/dxNYRj0jtG6/qx6NBUr0XUOKl+Q=";
  };
in
python313Packages.buildPythonPackage {
  inherit src;
  dependencies = [ python313Packages.antlr4-python3-runtime (pkgs.python313.pkgs.click) ] ++ (with python313.pkgs; [ six ]);
  postFixup = ''
    # every interpreter is a python3
    mkdir -p $out/${python313.sitePackages} $out/${python.libPrefix}
    ${pkgs.python313}/bin/python3 -m compileall "${ python313Packages.makePythonPath [ ] }"
  '';
}

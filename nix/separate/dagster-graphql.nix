{
  lib,
  python313,
  dagster-src,
  dagster,
}:

let
  pythonPackages = python313.pkgs;

  dependencies = [
    dagster
    pythonPackages.gql
    pythonPackages.graphene
    pythonPackages.requests
    pythonPackages.requests-toolbelt # of gql[requests]
    pythonPackages.starlette
  ];
in
pythonPackages.buildPythonPackage {
  pname = "dagster-graphql";
  inherit (dagster-src) version;
  pyproject = true;

  src = "${dagster-src}/python_modules/dagster-graphql";

  build-system = [ pythonPackages.setuptools ];

  inherit dependencies;

  # Every upper bound of upstream's: nixpkgs moves on without asking. Kept by the tool.
  pythonRelaxDeps = [
    "gql"
    "graphene"
  ];

  dontWrapPythonPrograms = true;
  postFixup = dagster.installCommands "dagster-graphql" dependencies;

  pythonImportsCheck = [ "dagster_graphql" ];

  meta = {
    description = "GraphQL API of Dagster";
    homepage = "https://dagster.io";
    changelog = "https://github.com/dagster-io/dagster/releases/tag/${dagster-src.version}";
    license = lib.licenses.asl20;
    mainProgram = "dagster-graphql";
    platforms = lib.platforms.unix;
  };
}

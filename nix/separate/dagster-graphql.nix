{
  lib,
  python312,
  python312Packages,
  dagster-src,
  dagster,
}:

let
  dependencies = [
    dagster
    python312Packages.gql
    python312Packages.graphene
    python312Packages.requests
    python312Packages.requests-toolbelt # of gql[requests]
    python312Packages.starlette
  ];
in
python312Packages.buildPythonPackage {
  pname = "dagster-graphql";
  inherit (dagster-src) version;
  pyproject = true;

  src = "${dagster-src}/python_modules/dagster-graphql";

  build-system = [ python312Packages.setuptools ];

  inherit dependencies;

  # nixpkgs is ahead of upstream's upper bound.
  pythonRelaxDeps = [ "gql" ];

  # For child processes, as in dagster.nix.
  makeWrapperArgs = [
    "--prefix"
    "PYTHONPATH"
    ":"
    "${placeholder "out"}/${python312.sitePackages}:${python312Packages.makePythonPath dependencies}"
  ];

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

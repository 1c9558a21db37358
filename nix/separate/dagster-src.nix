# The source of the packages beside this file, and the only place that names their version.
{
  lib,
  fetchFromGitHub,
}:

let
  version = "1.12.1";
in
(fetchFromGitHub {
  # Nix finds a fixed output by its name and hash, wherever it comes from. With the version in the
  # name, a new version over a forgotten old hash is fetched and refused, never taken for the new one.
  name = "dagster-src-${version}";
  owner = "dagster-io";
  repo = "dagster";
  tag = version;
  hash = "sha256-YlPloFELPPgEQk0/dxNYRj0jtG6/qx6NBUr0XUOKl+Q=";
})
// {
  # What a catalog shows. A bare fetch has neither and would be published as version `unknown`.
  pname = "dagster-src";
  inherit version;

  meta = {
    description = "Source of the Dagster data orchestration platform";
    homepage = "https://dagster.io";
    changelog = "https://github.com/dagster-io/dagster/releases/tag/${version}";
    license = lib.licenses.asl20;
    platforms = lib.platforms.unix;
    outputsToInstall = [ "out" ];
  };
}

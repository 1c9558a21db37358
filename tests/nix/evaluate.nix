# What a check needs to know of every package: evaluated strictly, over the double in nixpkgs.nix.
#
#     nix-instantiate --eval --strict --json tests/nix/evaluate.nix --arg root ./.
{
  root,
}:

let
  pkgs = import ./nixpkgs.nix { };
  inherit (builtins) mapAttrs readDir;

  packages = import (root + "/nix/default.nix") { inherit pkgs; };

  flox = (import ./flox.nix { inherit root pkgs; }).packages;

  shown = package: {
    inherit (package) drvPath pname version;
    meta = {
      inherit (package.meta)
        description
        homepage
        changelog
        platforms
        outputsToInstall
        ;
      license = package.meta.license.spdxId;
      mainProgram = package.meta.mainProgram or null;
    };
    dependencies = map (dependency: dependency.pname) (package.dependencies or [ ]);
  };

  complete = packages.dagster-complete;
in
{
  doors = readDir (root + "/flox/.flox/pkgs");
  nix = mapAttrs (_: shown) packages;
  flox = mapAttrs (name: _: flox.${name}.drvPath) packages;
  # the components inside the combined variant
  combined = mapAttrs (name: _: complete.${name}.drvPath) (
    removeAttrs packages [ "dagster-complete" ]
  );
}

# The packages of both variants for people with plain Nix:
#
#     nix-build nix -A dagster-complete
#     nix-build nix -A dagster-webserver -I nixpkgs=channel:nixpkgs-unstable
{
  pkgs ? import <nixpkgs> { },
}:

let
  inherit (pkgs) lib;

  # Siblings are arguments of each other, as Flox calls the files below flox/.flox/pkgs.
  separate = lib.makeScope pkgs.newScope (self: {
    dagster-src = self.callPackage ./separate/dagster-src.nix { };
    dagster-shared = self.callPackage ./separate/dagster-shared.nix { };
    dagster-pipes = self.callPackage ./separate/dagster-pipes.nix { };
    dagster = self.callPackage ./separate/dagster.nix { };
    dagster-graphql = self.callPackage ./separate/dagster-graphql.nix { };
    dagster-webserver = self.callPackage ./separate/dagster-webserver.nix { };
  });
in
{
  inherit (separate)
    dagster-src
    dagster-pipes
    dagster
    dagster-graphql
    dagster-webserver
    ;

  dagster-complete = pkgs.callPackage ./combined/dagster-complete.nix { };
}
// lib.optionalAttrs (lib.versionAtLeast separate.dagster-src.version "1.10.6") {
  inherit (separate) dagster-shared;
}

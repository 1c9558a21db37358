# The files below `.flox/pkgs` as Flox calls them: an overlay of nixpkgs in which each is named after its
# path, sees its siblings, and gets nixpkgs' previous package for its own name. Symbolic links and other
# names are not seen. For each, the package and what a catalog is told of it.
{
  # the top of the tracked files
  root,
  # the environment's directory in there
  environment ? "flox",
  pkgs,
}:

let
  inherit (builtins)
    attrNames
    filter
    getAttr
    listToAttrs
    mapAttrs
    match
    readDir
    ;

  directory = root + "/${environment}/.flox/pkgs";
  files = readDir directory;
  isExpression = file: files.${file} == "regular" && match "[^.].*\\.nix" file != null;

  packages = listToAttrs (
    map (
      file:
      let
        name = builtins.elemAt (match "(.*)\\.nix" file) 0;
      in
      {
        inherit name;
        value = pkgs.newScope (
          packages // { ${name} = pkgs.${name} or (throw "Circular dependency detected."); }
        ) (directory + "/${file}") { };
      }
    ) (filter isExpression (attrNames files))
  );

  described =
    package:
    {
      inherit (package) name drvPath outputs;
      paths = listToAttrs (
        map (output: {
          name = output;
          value = (getAttr output package).outPath;
        }) package.outputs
      );
      meta = {
        description = package.meta.description or null;
        license = package.meta.license.spdxId or null;
      };
    }
    // (if package ? pname then { inherit (package) pname; } else { })
    // (if package ? version then { inherit (package) version; } else { });
in
{
  inherit packages;
  described = mapAttrs (_: described) packages;
}

# A double of the parts of nixpkgs that the expressions use, for evaluation only: nothing here can be
# built. Every attribute exists in nixpkgs under the same name, so that a misspelt one fails here as
# it would there. What an attribute is given ends up in its derivation, so that two derivations are
# equal when, and only when, they were given the same. Functions refuse arguments they do not know.
let
  inherit (builtins)
    attrNames
    compareVersions
    concatMap
    concatStringsSep
    elem
    elemAt
    filter
    functionArgs
    isFunction
    listToAttrs
    splitVersion
    toJSON
    ;

  lib = {
    optional = condition: value: if condition then [ value ] else [ ];
    optionals = condition: values: if condition then values else [ ];
    optionalAttrs = condition: attrs: if condition then attrs else { };
    versionAtLeast = a: b: compareVersions a b >= 0;
    versionOlder = a: b: compareVersions a b < 0;
    versions.patch = version: elemAt (splitVersion version) 2;
    licenses.asl20 = {
      spdxId = "Apache-2.0";
      fullName = "Apache License 2.0";
    };
    platforms.unix = [
      "aarch64-darwin"
      "aarch64-linux"
      "x86_64-darwin"
      "x86_64-linux"
    ];
    makeScope =
      newScope: f:
      let
        self = f self // {
          callPackage = newScope self;
        };
      in
      self;
  };

  # callPackage over `scope`; an argument that is nowhere and has no default is an error.
  callIn =
    scope: file: overrides:
    let
      function = if isFunction file then file else import file;
      wanted = functionArgs function;
      known = scope // overrides;
      missing = filter (name: !(known ? ${name}) && !wanted.${name}) (attrNames wanted);
    in
    if missing != [ ] then
      throw "Function called without required argument `${concatStringsSep "`, `" missing}`"
    else
      function (builtins.intersectAttrs wanted known);

  refuseUnknown =
    function: known: given:
    let
      unknown = filter (name: !(elem name known)) (attrNames given);
    in
    if unknown == [ ] then given else throw "${function} does not know `${concatStringsSep "`, `" unknown}`";

  # The attributes that go into a derivation: all but those that only describe it.
  inputs = given: removeAttrs given [ "meta" "passthru" ];

  make =
    name: given: outputs:
    derivation {
      inherit name outputs;
      system = "x86_64-linux";
      builder = "/not-for-building";
      given = toJSON (inputs given);
    }
    // given.passthru or { }
    // {
      meta = (given.meta or { }) // {
        outputsToInstall = [ "out" ];
      };
    }
    // (if given ? version then { inherit (given) pname version; } else { });

  # `finalAttrs: { … }` or a set.
  fixpoint = f: argument: if isFunction argument then let final = argument final; in f final else f argument;

  fixedOutput =
    name: mode: given:
    derivation {
      inherit name;
      system = "x86_64-linux";
      builder = "/not-for-building";
      given = toJSON (inputs given);
      outputHashMode = mode;
      outputHash = given.hash;
    };

  fetchFromGitHub =
    given:
    fixedOutput given.name or "source" "recursive" (
      refuseUnknown "fetchFromGitHub" [ "name" "owner" "repo" "rev" "tag" "hash" ] given
    )
    // {
      # as nixpkgs: what is not given is not there
      inherit (given) owner repo;
    };

  fetchPypi =
    given:
    fixedOutput "${given.pname}-${given.version}-${given.python}-none-any.whl" "flat" (
      refuseUnknown "fetchPypi" [ "pname" "version" "format" "dist" "python" "hash" ] given
    );

  sitePackages = "lib/python3.12/site-packages";

  thirdParty = listToAttrs (
    map (name: {
      inherit name;
      value = make "python3.12-${name}-0" { pname = name; version = "0"; } [ "out" ];
    }) (filter (line: builtins.isString line && line != "") (builtins.split "[ \n]+" (builtins.readFile ./python-names.txt)))
  );

  requiredPythonModules = packages: concatMap (package: [ package ] ++ requiredPythonModules (package.dependencies or [ ])) packages;

  python312Packages = thirdParty // {
    buildPythonPackage = fixpoint (
      given:
      make "python3.12-${given.pname}-${given.version}"
        (refuseUnknown "buildPythonPackage" [
          "pname"
          "version"
          "pyproject"
          "format"
          "src"
          "build-system"
          "dependencies"
          "pythonRelaxDeps"
          "makeWrapperArgs"
          "pythonImportsCheck"
          "meta"
          "passthru"
        ] given)
        [ "out" "dist" ]
      // {
        dependencies = given.dependencies or [ ];
      }
    );
    makePythonPath = packages: concatStringsSep ":" (map (package: "${package}/${sitePackages}") (requiredPythonModules packages));
  };

  pkgs = {
    inherit lib fetchFromGitHub fetchPypi python312Packages;
    python312 = make "python3-3.12.0" { pname = "python3"; version = "3.12.0"; } [ "out" ] // {
      inherit sitePackages;
      withPackages = choose: make "python3-3.12.0-env" { packages = choose python312Packages; } [ "out" ];
    };
    stdenvNoCC.mkDerivation = fixpoint (
      given:
      make (given.name or "${given.pname}-${given.version}") (refuseUnknown "mkDerivation" [
        "name"
        "pname"
        "version"
        "buildCommand"
        "meta"
        "passthru"
      ] given) [ "out" ]
    );
    newScope = extra: callIn (pkgs // extra);
    callPackage = callIn pkgs;
  };
in
pkgs

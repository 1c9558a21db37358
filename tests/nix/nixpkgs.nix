# A double of the parts of nixpkgs that the expressions use. Not nixpkgs: small enough to read, and with
# its semantics where the expressions rely on them.
#
# Every attribute exists in nixpkgs under the same name, so that a misspelt one fails evaluation here as
# it would there. Functions refuse arguments they do not know. Sources are fixed-output derivations;
# Python packages are built by the builders of the stand-in for flox (tests/standins/floxlib), which run
# on the host's Python: a console script sees its own package's closure only, and an environment all of
# it. Third-party packages come out of a virtual environment, or are metadata without code.
{
  # where GitHub's archives and PyPI's files are fetched from
  upstream ? "http://upstream.invalid",
  # the host's interpreter; the default serves evaluation only
  python ? "/no-python-was-given",
  # a file that floxlib/thirdparty.py wrote about a virtual environment
  thirdParty ? null,
}:

let
  inherit (builtins)
    attrNames
    baseNameOf
    compareVersions
    concatMap
    concatStringsSep
    elem
    elemAt
    filter
    fromJSON
    functionArgs
    isFunction
    isString
    listToAttrs
    mapAttrs
    match
    readFile
    split
    splitVersion
    substring
    toJSON
    ;

  system = builtins.currentSystem;

  lib = {
    optional = condition: value: if condition then [ value ] else [ ];
    optionals = condition: values: if condition then values else [ ];
    optionalAttrs = condition: attrs: if condition then attrs else { };
    optionalString = condition: text: if condition then text else "";
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
      throw "Function called without required argument \"${elemAt missing 0}\""
    else
      function (builtins.intersectAttrs wanted known);

  refuseUnknown =
    function: known: given:
    let
      unknown = filter (name: !(elem name known)) (attrNames given);
    in
    if unknown == [ ] then
      given
    else
      throw "${function} does not know `${concatStringsSep "`, `" unknown}`";

  # The builders, without what else lies beside them: only what builds can change what is built.
  builders = builtins.path {
    name = "builders";
    path = ../standins;
    filter =
      path: type:
      if type == "directory" then
        baseNameOf path == "floxlib"
      else
        match ".*/floxlib/[a-z]+\\.py" path != null;
  };

  # A derivation by one of floxlib's builders, which finds its arguments in a file.
  build =
    builder: name: arguments: extra:
    derivation (
      {
        inherit name system;
        outputs = [ "out" ];
        builder = python;
        args = [
          "-IB"
          "${builders}/floxlib/nixbuild.py"
          builder
        ];
        arguments = toJSON arguments;
        passAsFile = [ "arguments" ];
      }
      // extra
    );

  # What a package shows of itself; none of it goes into its derivation.
  described =
    given: drv:
    drv
    // given.passthru or { }
    // {
      meta = (given.meta or { }) // {
        outputsToInstall = [ "out" ];
      };
    }
    // lib.optionalAttrs (given ? pname) { inherit (given) pname; }
    // lib.optionalAttrs (given ? version) { inherit (given) version; };

  nameOf = given: given.name or "${given.pname}-${given.version}";

  # `finalAttrs: { … }` or a set.
  fixpoint =
    f: argument:
    if isFunction argument then
      let
        final = argument final;
      in
      f final
    else
      f argument;

  fixedOutput =
    builder: name: mode: url: hash:
    build builder name { inherit url; } {
      outputHashMode = mode;
      outputHashAlgo = "sha256";
      outputHash = hash;
    };

  fetchFromGitHub =
    given:
    let
      known = refuseUnknown "fetchFromGitHub" [
        "name"
        "owner"
        "repo"
        "rev"
        "tag"
        "hash"
      ] given;
      ref = if known ? tag then "refs/tags/${known.tag}" else known.rev;
    in
    if (given ? tag) == (given ? rev) then
      throw "fetchFromGitHub requires one of either `rev` or `tag` to be provided (not both)."
    else
      fixedOutput "fetch_tree" given.name or "source" "recursive"
        "${upstream}/${given.owner}/${given.repo}/archive/${ref}.tar.gz"
        given.hash
      // {
        inherit (given) owner repo;
      };

  # Wheels only: nothing here asks for an sdist.
  fetchPypi =
    given:
    let
      file = "${given.pname}-${given.version}-${given.python}-none-any.whl";
    in
    assert
      (refuseUnknown "fetchPypi" [
        "pname"
        "version"
        "format"
        "dist"
        "python"
        "hash"
      ] given).format == "wheel";
    fixedOutput "fetch_file" file "flat"
      "${upstream}/packages/${given.dist}/${substring 0 1 given.pname}/${given.pname}/${file}"
      given.hash;

  # Python

  sitePackages = "lib/python3.12/site-packages";

  interpreter = build "interpreter" "python3-3.12" { } { };

  index = if thirdParty == null then null else fromJSON (readFile thirdParty);

  # By normalised name of the distribution.
  distributions = mapAttrs (thirdPartyPackage) (if index == null then { } else index.packages);

  thirdPartyPackage =
    name:
    { files, dependencies }:
    let
      needed = map (dependency: distributions.${dependency}) dependencies;
    in
    build "third_party" "python3.12-${name}" {
      inherit name;
      venv = {
        inherit (index) site;
        inherit files;
      };
      dependencies = map toString needed;
    } { }
    // {
      pname = name;
      version = "0";
      dependencies = needed;
    };

  withoutCode =
    name:
    build "third_party" "python3.12-${name}" {
      inherit name;
      venv = null;
      dependencies = [ ];
    } { }
    // {
      pname = name;
      version = "0";
      dependencies = [ ];
    };

  names = filter (line: isString line && line != "") (
    split "[ \n]+" (readFile ../standins/floxlib/python-names.txt)
  );

  requiredPythonModules =
    packages:
    concatMap (package: [ package ] ++ requiredPythonModules (package.dependencies or [ ])) packages;

  unique =
    let
      add =
        seen: rest:
        if rest == [ ] then
          seen
        else
          add (seen ++ lib.optional (!(elem (elemAt rest 0) seen)) (elemAt rest 0)) (builtins.tail rest);
    in
    add [ ];

  python312Packages =
    listToAttrs (
      map (name: {
        inherit name;
        value = distributions.${name} or (withoutCode name);
      }) names
    )
    // {
      buildPythonPackage = fixpoint (
        given:
        let
          known = refuseUnknown "buildPythonPackage" [
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
          ] given;
          dependencies = known.dependencies or [ ];
        in
        described given (
          build "build_package" "python3.12-${nameOf given}"
            {
              inherit (given) pname version;
              format =
                given.format or (
                  if given.pyproject or false then "pyproject" else throw "expected `pyproject = true` or a `format`"
                );
              src = "${given.src}";
              sourceRoot = null;
              build-system = map toString (given.build-system or [ ]);
              dependencies = map toString dependencies;
              pythonRelaxDeps = given.pythonRelaxDeps or [ ];
              pythonImportsCheck = given.pythonImportsCheck or [ ];
              makeWrapperArgs = given.makeWrapperArgs or [ ];
              python = "${interpreter}";
            }
            {
              outputs = [
                "out"
                "dist"
              ];
            }
        )
        // {
          inherit dependencies;
        }
      );
      makePythonPath =
        packages:
        concatStringsSep ":" (
          unique (map (package: "${package}/${sitePackages}") (requiredPythonModules packages))
        );
    };

  # Everything else is a shell script with the host's tools.
  script =
    given: text:
    described given (
      derivation (
        # attributes are the builder's environment
        removeAttrs given [
          "buildCommand"
          "meta"
          "passthru"
          "pname"
          "version"
        ]
        // {
          inherit system;
          name = nameOf given;
          outputs = [ "out" ];
          builder = "/bin/sh";
          args = [
            "-ec"
            "PATH=/usr/local/bin:/usr/bin:/bin\n${text}"
          ];
        }
      )
    );

  # One directory of links to what is in several; a file that two of them have is an error.
  joined =
    given: ignoreCollisions:
    described given (
      build "join" (nameOf given) {
        inherit ignoreCollisions;
        paths = map toString given.paths;
      } { }
    );

  pkgs = {
    inherit
      lib
      fetchFromGitHub
      fetchPypi
      python312Packages
      ;
    python312 = interpreter // {
      pname = "python3";
      version = "3.12.0";
      inherit sitePackages;
      pkgs = python312Packages;
      withPackages =
        choose:
        build "environment" "python3-3.12-env" {
          packages = map toString (choose python312Packages);
          python = "${interpreter}";
        } { };
    };
    stdenvNoCC.mkDerivation = fixpoint (
      given:
      script (refuseUnknown "mkDerivation" [
        "name"
        "pname"
        "version"
        "buildCommand"
        "commands"
        "meta"
        "passthru"
      ] given) given.buildCommand
    );
    runCommand =
      name: given: text:
      script (given // { inherit name; }) text;
    buildEnv =
      given:
      joined (refuseUnknown "buildEnv" [
        "name"
        "paths"
        "meta"
        "passthru"
      ] given) false;
    symlinkJoin =
      given:
      joined (refuseUnknown "symlinkJoin" [
        "name"
        "pname"
        "version"
        "paths"
        "meta"
        "passthru"
      ] given) true;
    newScope = extra: callIn (pkgs // extra);
    callPackage = callIn pkgs;
  };
in
pkgs

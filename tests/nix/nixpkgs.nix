# A double of the parts of nixpkgs that the expressions use. Not nixpkgs: small enough to read, and with
# its rules where the expressions rely on them, its refusals first.
#
# Every attribute exists in nixpkgs under the same name, so that a misspelt one fails evaluation here as
# it would there. Functions refuse arguments they do not know. Sources are fixed-output derivations;
# Python packages are built by the builders of the stand-in for flox (tests/standins/floxlib), which run
# on the host's Python. A platform that nixpkgs dropped throws; a package of another Python among the
# dependencies throws; a wheel whose requirements are not met does not build; `meta.mainProgram` is part
# of the derivation. Third-party packages come out of a virtual environment, or are metadata without
# code, in the versions that nixpkgs.toml recorded of nixpkgs.
{
  # where GitHub's archives and PyPI's files are fetched from
  upstream ? "http://upstream.invalid",
  # the host's interpreter, which runs the builders; the default serves evaluation only
  python ? "/no-python-was-given",
  # for a version of Python, as "3.12": { path, version } of the host's interpreter that is it or
  # stands in for it
  pythons ? { },
  # a file that floxlib/thirdparty.py wrote about a virtual environment
  thirdParty ? null,
  system ? builtins.currentSystem,
  # is `pythonRelaxDeps` obeyed? Without it a check sees which bounds nixpkgs is beyond
  relaxing ? true,
  # nixpkgs' `config.structuredAttrsByDefault`
  structuredAttrs ? false,
  # names of third-party packages whose `meta.broken` or `meta.unsupported` is set
  broken ? [ ],
  unsupported ? [ ],
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
    fromTOML
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

  lib = {
    trivial = {
      version = "26.11pre-git";
      # nixpkgs knows its revision where it comes from a channel
      revisionWithDefault = default: default;
    };
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

  recorded = (fromTOML (readFile ../../nixpkgs.toml)).versions;

  index = if thirdParty == null then null else fromJSON (readFile thirdParty);

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

  # The interpreter of one version with its packages. What the host has in its place keeps its own name
  # in paths: nothing says that it is what it is not.
  pythonSet =
    named:
    let
      host =
        pythons.${named} or {
          path = python;
          version = named;
        };
      libPrefix = "python${host.version}";
      executable = libPrefix;
      sitePackages = "lib/${libPrefix}/site-packages";

      bare = build "interpreter" "python3-${host.version}" {
        inherit (host) path;
        inherit executable;
        standsInFor = if host.version == named then null else named;
      } { };

      # what each builder of a package is told of its Python
      ours = {
        path = "${bare}";
        inherit executable;
        site = sitePackages;
      };

      module =
        drv: attributes:
        drv
        // attributes
        // {
          pythonModule = bare;
        };

      # By normalised name of the distribution.
      distributions = mapAttrs thirdPartyPackage (if index == null then { } else index.packages);

      # As nixpkgs' check-meta: it can be looked at, and not be built.
      judged =
        name: attributes:
        let
          isBroken = elem name broken;
          isUnsupported = elem name unsupported;
          refusal = throw ''
            Refusing to evaluate package '${libPrefix}-${name}-${attributes.version or "0"}' because it ${
              if isBroken then "is marked as broken" else "is not available on the requested hostPlatform"
            }
          '';
        in
        attributes
        // {
          meta = {
            broken = isBroken;
            unsupported = isUnsupported;
            available = !(isBroken || isUnsupported);
          };
        }
        // lib.optionalAttrs (isBroken || isUnsupported) {
          drvPath = refusal;
          outPath = refusal;
        };

      thirdPartyPackage =
        name:
        {
          version,
          files,
          dependencies,
        }:
        let
          needed = map (dependency: distributions.${dependency}) dependencies;
        in
        module
          (build "third_party" "${libPrefix}-${name}-${version}" {
            inherit name version;
            venv = {
              inherit (index) site;
              inherit files;
            };
            dependencies = map toString needed;
            python = ours;
          } { })
          (
            judged name {
              pname = name;
              inherit version;
              dependencies = needed;
            }
          );

      # nixpkgs has it, and no version of it is recorded: "0", which no check compares and nobody is told.
      withoutCode =
        name:
        let
          version = recorded.${name} or "0";
        in
        module
          (build "third_party" "${libPrefix}-${name}-${version}" {
            inherit name version;
            venv = null;
            dependencies = [ ];
            python = ours;
          } { })
          (
            judged name (
              {
                pname = name;
                dependencies = [ ];
              }
              // lib.optionalAttrs (recorded ? ${name}) { inherit version; }
            )
          );

      checked =
        given: dependency:
        if dependency ? pythonModule && dependency.pythonModule != bare then
          throw ''
            Python version mismatch in '${nameOf given}':

            The Python derivation '${nameOf given}' depends on a Python derivation
            named '${dependency.name}', but the two derivations use different versions
            of Python''
        else
          dependency;

      buildPythonPackage = fixpoint (
        argument:
        let
          given = refuseUnknown "buildPythonPackage" [
            "pname"
            "version"
            "pyproject"
            "format"
            "src"
            "build-system"
            "dependencies"
            "pypaBuildFlags"
            "pythonRelaxDeps"
            "dontWrapPythonPrograms"
            "makeWrapperArgs"
            "postFixup"
            "pythonImportsCheck"
            "meta"
            "passthru"
          ] argument;
          dependencies = map (checked given) (given.dependencies or [ ]);
        in
        module (described given (
          build "build_package" "${libPrefix}-${nameOf given}"
            {
              inherit (given) pname version;
              format =
                given.format or (
                  if given.pyproject or false then "pyproject" else throw "expected `pyproject = true` or a `format`"
                );
              src = "${given.src}";
              sourceRoot = null;
              build-system = map toString (map (checked given) (given.build-system or [ ]));
              dependencies = map toString dependencies;
              pypaBuildFlags = given.pypaBuildFlags or [ ];
              pythonRelaxDeps = lib.optionals relaxing (given.pythonRelaxDeps or [ ]);
              pythonImportsCheck = given.pythonImportsCheck or [ ];
              dontWrapPythonPrograms = given.dontWrapPythonPrograms or false;
              makeWrapperArgs = given.makeWrapperArgs or [ ];
              postFixup = given.postFixup or "";
              mainProgram = given.meta.mainProgram or null;
              python = ours;
            }
            {
              outputs = [
                "out"
                "dist"
              ];
            }
        )) { inherit dependencies; }
      );

      packages =
        listToAttrs (
          map (name: {
            inherit name;
            value = distributions.${name} or (withoutCode name);
          }) names
        )
        // {
          python = interpreter;
          inherit buildPythonPackage fetchPypi;
          makePythonPath =
            modules:
            concatStringsSep ":" (
              unique (map (package: "${package}/${sitePackages}") (requiredPythonModules modules))
            );
        };

      interpreter = bare // {
        pname = "python3";
        inherit (host) version;
        inherit libPrefix executable sitePackages;
        pythonVersion = host.version;
        interpreter = "${bare}/bin/${executable}";
        pkgs = packages;
        withPackages =
          choose:
          build "environment" "python3-${host.version}-env" {
            packages = map toString (choose packages);
            python = ours;
          } { };
      };
    in
    interpreter;

  interpreters = listToAttrs (
    map
      (named: {
        name = "python" + concatStringsSep "" (splitVersion named);
        value = pythonSet named;
      })
      [
        "3.11"
        "3.12"
        "3.13"
        "3.14"
      ]
  );

  packageSets = listToAttrs (
    map (name: {
      name = "${name}Packages";
      # only these are built, and in a cache
      value =
        interpreters.${name}.pkgs
        // lib.optionalAttrs (elem name [
          "python313"
          "python314"
        ]) { recurseForDerivations = true; };
    }) (attrNames interpreters)
  );

  # Everything else is a shell script with the host's tools. With structured attributes its variables
  # are those of `.attrs.sh`: a list is an array then, and the outputs' paths are in one.
  script =
    given: text:
    described given (
      derivation (
        # attributes are the builder's environment
        removeAttrs given [
          "meta"
          "passthru"
        ]
        // {
          inherit system;
          name = nameOf given;
          outputs = [ "out" ];
          builder = "/bin/sh";
          buildCommand = text;
          args = [
            "-ec"
            "export PATH=/usr/local/bin:/usr/bin:/bin; exec bash -eo pipefail -c '${load}eval \"$buildCommand\"'"
          ];
        }
        // lib.optionalAttrs structuredAttrs { __structuredAttrs = true; }
        // lib.optionalAttrs (given.meta or { } ? mainProgram) {
          NIX_MAIN_PROGRAM = given.meta.mainProgram;
        }
      )
    );

  load = lib.optionalString structuredAttrs ''
    . ./.attrs.sh
    for output in "''${!outputs[@]}"; do export "$output=''${outputs[$output]}"; done
  '';

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
    inherit lib fetchFromGitHub fetchPypi;
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
  }
  // interpreters
  // packageSets;
in
if system == "x86_64-darwin" then
  throw "Nixpkgs 26.11 has dropped support for x86_64-darwin."
else
  pkgs

# What `cargo xtask audit` asks a nixpkgs, answered as JSON by one evaluation (xtask/src/tools/nix.rs).
#
#     { source = { path = "/…"; } | { url = "https://…"; };
#       systems = [ "x86_64-linux" … ];   python = "python313";   pythons = [ "python312" … ];
#       names = [ "click" … ];            why = null | { system, python, name } }
#
# Nothing is built. What throws is said to throw; with `why` that one thing is evaluated alone, so that
# its words are those of the failure. What no `tryEval` catches ends the evaluation: then nothing is known.
{ question }:

let
  inherit (builtins)
    fetchTarball
    fromJSON
    isAttrs
    isFunction
    isString
    listToAttrs
    seq
    tryEval
    ;

  asked = fromJSON question;

  found = import (if asked.source ? url then fetchTarball asked.source.url else asked.source.path);

  # No package set at all is for nobody to catch.
  nixpkgs =
    if isFunction found then found else abort "expected a function of `system`, as nixpkgs is";

  packagesOf = system: nixpkgs { inherit system; };

  # A platform may be refused by the package set itself, or by the first thing that is built in it.
  forced = pkgs: seq pkgs (seq (pkgs.stdenv or null) pkgs);

  # `value` evaluated as far as a name of a type can be told; else what stands in for it.
  attempt =
    value: otherwise:
    let
      tried = tryEval value;
    in
    if tried.success then tried.value else otherwise;

  textOf = value: attempt (if isString value then value else null) null;
  truthOf = value: attempt (value == true) false;

  # A package of a set: "missing", "throws", or what it says of itself.
  described =
    set: name:
    let
      value = set.${name};
      kind = attempt (if isAttrs value then "there" else "missing") "throws";
      meta = attempt (value.meta or { }) { };
    in
    if !(set ? ${name}) then
      { state = "missing"; }
    else if kind != "there" then
      { state = kind; }
    else
      {
        state = "there";
        version = textOf (value.version or null);
        is_broken = truthOf (meta.broken or false);
        is_unsupported = truthOf (meta.unsupported or false);
        # the derivation throws where it, or anything that it needs, is broken or not for the system
        is_refused = !(tryEval (value.drvPath or null)).success;
      };

  byName =
    names: of:
    listToAttrs (
      map (name: {
        inherit name;
        value = of name;
      }) names
    );

  pythonOf =
    pkgs: name:
    let
      found = described pkgs name;
      isWhole = found.state != "there" || (tryEval pkgs.${name}.pkgs).success;
    in
    (if isWhole then found else { state = "throws"; })
    // {
      is_built = truthOf (pkgs.${"${name}Packages"}.recurseForDerivations or false);
    };

  onSystem =
    system:
    let
      pkgs = packagesOf system;
      python = pythonOf pkgs asked.python;
    in
    if !(tryEval (seq (forced pkgs) true)).success then
      { throws = true; }
    else
      {
        throws = false;
        pythons = byName asked.pythons (pythonOf pkgs);
        # of a Python that is not there nothing can be said
        packages =
          if python.state == "there" then byName asked.names (described pkgs.${asked.python}.pkgs) else { };
        revision = textOf ((pkgs.lib.trivial.revisionWithDefault or (default: default)) null);
        release = textOf (pkgs.lib.trivial.version or null);
      };

  # The same without a net: what throws ends the evaluation, also where only the derivation does.
  why =
    {
      system,
      python,
      name,
    }:
    let
      pkgs = forced (packagesOf system);
      set = pkgs.${python}.pkgs;
    in
    if python == null then
      seq pkgs true
    else if name == null then
      seq set true
    else
      seq (set.${name}.drvPath or null) true;
in
seq nixpkgs (if asked.why != null then why asked.why else byName asked.systems onSystem)

//! Upstream and the expressions have drifted apart.

use std::fs;

use expect_test::expect;

use crate::scene::Scene;

/// Takes a line out of a file, as if a new upstream required what nobody listed.
fn take_out(scene: &Scene, file: &str, line: &str) {
    let path = scene.clone_path(file);
    let text = fs::read_to_string(&path).unwrap();
    let less = text.replacen(line, "", 1);
    assert_ne!(text, less, "{file} has no `{line}`");
    fs::write(&path, less).unwrap();
}

#[test]
fn a_missing_requirement_is_found_before_any_build_and_put_back() {
    let scene = Scene::new();
    let whole = scene.git(&["rev-parse", "HEAD"]);
    take_out(&scene, "nix/separate/dagster-shared.nix", "      pythonPackages.tomlkit\n");
    take_out(&scene, "nix/combined/dagster-complete.nix", "    pythonPackages.rich\n");
    scene.git(&["commit", "--quiet", "--all", "--message", "Forget two requirements"]);
    scene.git(&["push", "--quiet"]);
    let before = scene.state();

    let refused = scene.run(&["release", "1.12.2"]);
    refused.check(&expect![[r#"
        status: 3
        ----- stdout
        ----- stderr
        Inspecting dagster-io/dagster 1.12.2
           Hashing [UPSTREAM]/dagster-io/dagster/archive/[COMMIT].tar.gz
                   source sha256-ccrWiOsl1EwgG3/a8jq0FzFgcNKDJ2l20RbRrlKRdws=
           Planned dagster 1.12.1 -> 1.12.2
                   tag 1.12.2 is commit [COMMIT]
                   source sha256-ccrWiOsl1EwgG3/a8jq0FzFgcNKDJ2l20RbRrlKRdws=
                   wheel  sha256-4qta6DSMPPP4rUzL2zAPzjK+POL6wCVltLTPzUVWuTs= (dagster-webserver 1.12.2)
                   edits  nix/combined/dagster-complete.nix
                   edits  nix/separate/dagster-src.nix
                   edits  nix/separate/dagster-webserver.nix
             Drift dagster-shared requires `tomlkit`, and its expressions lack it
                   upstream: python_modules/libraries/dagster-shared/setup.py:27
                   here:     nix/separate/dagster-shared.nix:27
                   --accept-drift adds tomlkit to dependencies
             Drift dagster requires `rich`, and its expressions lack it
                   upstream: python_modules/dagster/setup.py:46
                   here:     nix/combined/dagster-complete.nix:144
                   --accept-drift adds rich to dependencies
           Noticed dagster-shared relaxes pydantic, typing-extensions
                   upstream: metadata of dagster-shared 1.12.2
           Noticed dagster relaxes `coloredlogs<=14.0` (nixpkgs has 15.0.1), `protobuf<7` (nixpkgs has 7.35.1), and 6 more: antlr4-python3-runtime, click, sqlalchemy, tomli, tqdm, watchdog
                   upstream: metadata of dagster 1.12.2
           Noticed dagster-graphql relaxes gql, graphene
                   upstream: metadata of dagster-graphql 1.12.2
           Noticed dagster-webserver relaxes click
                   upstream: metadata of dagster-webserver 1.12.2
        error: 1.12.2 is not what the expressions were written for: 2 findings in dagster, dagster-shared
        hint: read the findings; `--accept-drift` makes the edits and goes on, `--dry-run` shows them
    "#]]);
    assert_eq!(scene.state(), before);

    // The patch has both parts, and `git apply` takes them in one go.
    let dry = scene.run(&["release", "1.12.2", "--dry-run"]);
    dry.expect_status(3);
    assert_eq!(dry.raw_stdout().matches("diff --git").count(), 3 + 2);
    assert_eq!(scene.state(), before);
    let patch = scene.path("drift.patch");
    fs::write(&patch, dry.raw_stdout()).unwrap();
    scene.git(&["apply", "--check", patch.to_str().unwrap()]);

    scene.run(&["release", "1.12.2", "--accept-drift"]).expect_status(0);
    let message = scene.git(&["log", "-1", "--format=%B"]);
    let (_, explained) = message.split_once("Drift,").unwrap();
    expect![[r#"
         accepted by whoever released this:
        - dagster-shared requires `tomlkit`, and its expressions lack it (python_modules/libraries/dagster-shared/setup.py:27): adds tomlkit to dependencies
        - dagster requires `rich`, and its expressions lack it (python_modules/dagster/setup.py:46): adds rich to dependencies"#]].assert_eq(explained.split_once("\n\nClosure").unwrap().0);
    // Every byte but the pins is as it was before the lines were taken out.
    expect![[r#"
        4	4	nix/combined/dagster-complete.nix
        3	3	nix/separate/dagster-src.nix
        1	1	nix/separate/dagster-webserver.nix"#]]
    .assert_eq(&scene.git(&["diff", "--numstat", &whole, "--", "nix"]));
}

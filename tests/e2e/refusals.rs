//! What is refused: each with its message, its exit status, and nothing written.

use std::fs;

use expect_test::expect;

use crate::scene::Scene;

/// A refusal leaves branch, commit and files as they were.
#[track_caller]
fn refused(scene: &Scene, args: &[&str], expected: &expect_test::Expect) {
    let before = scene.state();
    scene.run(args).check(expected);
    assert_eq!(scene.state(), before);
}

#[test]
fn versions_are_strict() {
    let scene = Scene::new();
    refused(
        &scene,
        &["release", "v1.9.12"],
        &expect![[r#"
        status: 2
        ----- stdout
        ----- stderr
        error: expected a version like `1.9.12`, found `v1.9.12`
        hint: upstream's tags have no `v`: write `1.9.12`
    "#]],
    );
    refused(
        &scene,
        &["bump", "^1.9"],
        &expect![[r#"
        status: 2
        ----- stdout
        ----- stderr
        error: expected a version like `1.9.12`, found `^1.9`
          Caused by: unexpected character '^' while parsing major version number
        hint: give all three numbers, and no range
    "#]],
    );
    refused(
        &scene,
        &["release", "1.12.2-rc.1"],
        &expect![[r#"
        status: 2
        ----- stdout
        ----- stderr
        error: expected a version like `1.9.12`, found `1.12.2-rc.1`
        hint: pre-releases are not packaged
    "#]],
    );
}

#[test]
fn a_version_that_does_not_exist() {
    let scene = Scene::new();
    refused(
        &scene,
        &["release", "1.9.99"],
        &expect![[r#"
        status: 1
        ----- stdout
        ----- stderr
        Inspecting dagster-io/dagster 1.9.99
        error: expected tag `1.9.99` in `dagster-io/dagster`, found none
        hint: see what upstream has: `cargo xtask watch --once`
    "#]],
    );
    refused(
        &scene,
        &["bump", "1.9.99"],
        &expect![[r#"
        status: 1
        ----- stdout
        ----- stderr
        Inspecting dagster-io/dagster 1.9.99
        error: expected tag `1.9.99` in `dagster-io/dagster`, found none
        hint: see what upstream has: `cargo xtask watch --once`
    "#]],
    );
}

#[test]
fn a_version_that_upstream_has_not_finished() {
    let scene = Scene::new();
    refused(
        &scene,
        &["release", "1.12.3"],
        &expect![[r#"
        status: 3
        ----- stdout
        ----- stderr
        Inspecting dagster-io/dagster 1.12.3
        error: upstream has not finished 1.12.3: PyPI does not have `dagster-webserver==1.12.3`
        hint: wait until every package is there, or release another version
    "#]],
    );
}

#[test]
fn a_dirty_checkout() {
    let scene = Scene::new();
    fs::write(scene.clone_path("README.md"), "edited\n").unwrap();
    refused(
        &scene,
        &["release", "1.12.2"],
        &expect![[r#"
        status: 0
        ----- stdout
        ----- stderr
        Inspecting dagster-io/dagster 1.12.2
           Hashing [UPSTREAM]/dagster-io/dagster/archive/refs/tags/1.12.2.tar.gz
                   source sha256-0rX5fxUaw1SWygVTw9sT9/OlV3pYsFSrBt97azcm1zY=
           Planned dagster 1.12.1 -> 1.12.2
                   tag 1.12.2 is commit [COMMIT]
                   source sha256-0rX5fxUaw1SWygVTw9sT9/OlV3pYsFSrBt97azcm1zY=
                   wheel  sha256-8oMnGuxDc7E64wVH5havYB51DaTjB+4Fl0VkOehuRVo= (dagster-webserver 1.12.2)
                   edits  nix/combined/dagster-complete.nix
                   edits  nix/separate/dagster-src.nix
                   edits  nix/separate/dagster-webserver.nix
          Building separate 1.12.2: dagster-src dagster-pipes dagster-shared dagster dagster-graphql dagster-webserver
                   ! You are not logged in to FloxHub. Run 'flox auth login' to log in.
                   Building dagster-src in Nix expression mode
                   building '[WORLD]/flox/store/c0rqdk80nx1zc122aqhr20xnj0q9mz0y-dagster-src-1.12.2.drv'...
                   dagster-src-1.12.2> trying [UPSTREAM]/dagster-io/dagster/archive/refs/tags/1.12.2.tar.gz
                   Completed build of dagster-src in Nix expression mode
                   Building dagster-pipes in Nix expression mode
                   building '[WORLD]/flox/store/00qx128r30vjr484yc4gsf0lmckb1fgv-python3-3.12.drv'...
                   building '[WORLD]/flox/store/cgixngg2cl0z61jlhpvgacavj7rj7xpa-python3.12-setuptools.drv'...
                   building '[WORLD]/flox/store/pml0v3bfdw35kfx6qf4aq9ba673m2jn7-python3.12-dagster-pipes-1.12.2.drv'...
                   python3.12-dagster-pipes-1.12.2> Check whether the following modules can be imported: dagster_pipes
                   building '[WORLD]/flox/store/fgqfj315md8v3fahn2lpax5nirfyxdna-python3.12-packaging.drv'...
                   Completed build of dagster-pipes in Nix expression mode
                   Building dagster-shared in Nix expression mode
                   building '[WORLD]/flox/store/9k216xla3nxh778adhhhz93k1ayzz85j-python3.12-platformdirs.drv'...
                   building '[WORLD]/flox/store/7k20l0yrxjlc497y3xlpm47f3m8li07y-python3.12-pydantic.drv'...
                   building '[WORLD]/flox/store/9pq23iwkyhfc8kxvd0p52ggamcqnx30r-python3.12-pyyaml.drv'...
                   building '[WORLD]/flox/store/2sajqrhcvv9ik38c3lsxyd1aw2ddbfzy-python3.12-tomlkit.drv'...
                   building '[WORLD]/flox/store/9s7cdr5ij2yhpxvkrsw0da5r3azjxfiz-python3.12-typing-extensions.drv'...
                   building '[WORLD]/flox/store/x1v5ibnzkn9c7pnlyk7b7k2h5l3qx56l-python3.12-dagster-shared-1.12.2.drv'...
                   python3.12-dagster-shared-1.12.2> Check whether the following modules can be imported: dagster_shared
                   Completed build of dagster-shared in Nix expression mode
                   Building dagster in Nix expression mode
                   building '[WORLD]/flox/store/pl2sfqk3bsdyfapqngbhczhbfxjdpksi-python3.12-alembic.drv'...
                   building '[WORLD]/flox/store/fkw9x2na0yhxvhz7d9w2x5h7nh77cin4-python3.12-antlr4-python3-runtime.drv'...
                   building '[WORLD]/flox/store/40jc8pcxqwf2wqi3nayzy34qhxj997ny-python3.12-click.drv'...
                   building '[WORLD]/flox/store/xhh1bl6yq0sqmj2ls8c53jwz3wjgr011-python3.12-coloredlogs.drv'...
                   building '[WORLD]/flox/store/7kgfq3bcq7c7xjqmwzk35rjklxmgpy6w-python3.12-docstring-parser.drv'...
                   building '[WORLD]/flox/store/0xa04pgswqkp0bd8ipsq9x173bldj7zn-python3.12-filelock.drv'...
                   building '[WORLD]/flox/store/5mmalphdfrxmc6g78ardm3v9rdbdwx0k-python3.12-grpcio.drv'...
                   building '[WORLD]/flox/store/4ss9m5agkdagfmwz882fznr6fbv0njhd-python3.12-grpcio-health-checking.drv'...
                   building '[WORLD]/flox/store/nigh86h9fhm63n7ka0nxk2zskifym491-python3.12-jinja2.drv'...
                   building '[WORLD]/flox/store/bc1qbf8g6zvlw15nz0hf0hzwy55wxbs5-python3.12-protobuf.drv'...
                   building '[WORLD]/flox/store/rs302k2rxyw12cjf2hqi4xv7bwfjh60l-python3.12-python-dotenv.drv'...
                   building '[WORLD]/flox/store/fh1rm3ljks1xrqgn9wfqb880p70l28d8-python3.12-pytz.drv'...
                   building '[WORLD]/flox/store/nicm6qdhxf4ykykflxj3yx4mp56mlzzm-python3.12-requests.drv'...
                   building '[WORLD]/flox/store/v2r8srwfmi44na3kc3nn0i9jkmc5ldx4-python3.12-rich.drv'...
                   building '[WORLD]/flox/store/0zzbzf1ix75r1z8a7irm96ak60bgrhf3-python3.12-six.drv'...
                   building '[WORLD]/flox/store/hw1dj4bbjd5gdnpr54pv9qacvpdgmid8-python3.12-sqlalchemy.drv'...
                   building '[WORLD]/flox/store/vvhrrbi95rwbbm0alhvmjkhwk1v17f7h-python3.12-structlog.drv'...
                   building '[WORLD]/flox/store/1zy72dj8116d9x1564nlawbgna61x011-python3.12-tabulate.drv'...
                   building '[WORLD]/flox/store/jwgfmv1lqg9ij4fhgn8nam0a4lasavr0-python3.12-tomli.drv'...
                   building '[WORLD]/flox/store/nrm2j88m4zyhg3q80l9kmfj8rpqrfcp7-python3.12-toposort.drv'...
                   building '[WORLD]/flox/store/wf35vg51lhp65kyv2lvbqrsymx5ylp6r-python3.12-tqdm.drv'...
                   building '[WORLD]/flox/store/zgw102c345y8l1vq28c36d5wsqhy3yf3-python3.12-tzdata.drv'...
                   building '[WORLD]/flox/store/5z5l9q36lrsnqrbdja48jz7sf8rrvaiw-python3.12-universal-pathlib.drv'...
                   building '[WORLD]/flox/store/ybxqys7f1gwc2s5811v6z6sdv3d4ycsv-python3.12-watchdog.drv'...
                   building '[WORLD]/flox/store/vlymi33hqmwzcnfi7fqgvqn52j2fhnsn-python3.12-dagster-1.12.2.drv'...
                   python3.12-dagster-1.12.2> Check whether the following modules can be imported: dagster
                   Completed build of dagster in Nix expression mode
                   Building dagster-graphql in Nix expression mode
                   building '[WORLD]/flox/store/c3i6b49r9lf1y37zh4g8pgg26kq19jrs-python3.12-gql.drv'...
                   building '[WORLD]/flox/store/azlq6ihsdnjn2mw1imn6nd6ypw62af5r-python3.12-graphene.drv'...
                   building '[WORLD]/flox/store/b7c007fc6bbszkmjdv7drkd1bcx8hxx6-python3.12-requests-toolbelt.drv'...
                   building '[WORLD]/flox/store/b9sjf6wdx0p6rx4krbnsglg6y275kjva-python3.12-starlette.drv'...
                   building '[WORLD]/flox/store/gl7v661kkrn9vgknm3x5j9vii9baaaff-python3.12-dagster-graphql-1.12.2.drv'...
                   python3.12-dagster-graphql-1.12.2> Check whether the following modules can be imported: dagster_graphql
                   Completed build of dagster-graphql in Nix expression mode
                   Building dagster-webserver in Nix expression mode
                   building '[WORLD]/flox/store/hpf339qiqc6vkhy5zgmxliwqqdvimvjz-python3.12-uvicorn.drv'...
                   building '[WORLD]/flox/store/9ds5d8qnwl5m3niam5ndzr5bap4pm2sn-python3.12-httptools.drv'...
                   building '[WORLD]/flox/store/3vnxkbla8w631m8788vls2rvzl578qs8-python3.12-uvloop.drv'...
                   building '[WORLD]/flox/store/xlsyh78hivl7d7rzrk2a1lhv7jrmwhx5-python3.12-watchfiles.drv'...
                   building '[WORLD]/flox/store/q5sq6ndpr7ip4qnx6ia7mv2m391mdvfl-python3.12-websockets.drv'...
                   building '[WORLD]/flox/store/spbk00wp772q0cfkaw4a89ik5rgx4isw-dagster_webserver-1.12.2-py3-none-any.whl.drv'...
                   dagster_webserver-1.12.2-py3-none-any.whl> trying [UPSTREAM]/packages/py3/d/dagster_webserver/dagster_webserver-1.12.2-py3-none-any.whl
                   building '[WORLD]/flox/store/5m00aa1lnkhy200r1nzy6240wycqyvza-python3.12-dagster-webserver-1.12.2.drv'...
                   python3.12-dagster-webserver-1.12.2> Check whether the following modules can be imported: dagster_webserver
                   Completed build of dagster-webserver in Nix expression mode
                   ⚡︎ Built outputs:
                   [WORLD]/clone/flox/result-dagster-src, [WORLD]/clone/flox/result-dagster-pipes, [WORLD]/clone/flox/result-dagster-pipes-dist, [WORLD]/clone/flox/result-dagster-shared, [WORLD]/clone/flox/result-dagster-shared-dist, [WORLD]/clone/flox/result-dagster, [WORLD]/clone/flox/result-dagster-dist, [WORLD]/clone/flox/result-dagster-graphql, [WORLD]/clone/flox/result-dagster-graphql-dist, [WORLD]/clone/flox/result-dagster-webserver, [WORLD]/clone/flox/result-dagster-webserver-dist
           Smoking `separate` 1.12.2, a flox result
                   ok      0.0 s  source of dagster-src: 4 entries
                   ok      0.0 s  commands of dagster-pipes: none
                   ok      0.0 s  commands of dagster-shared: none
                   ok      0.0 s  commands of dagster: dagster dagster-daemon
                   ok      0.2 s  dagster --version: 1.12.2
                   ok      0.2 s  dagster-daemon --version: 1.12.2
                   ok      0.0 s  commands of dagster-graphql: dagster-graphql
                   ok      0.1 s  dagster-graphql --version: 1.12.2
                   ok      0.0 s  commands of dagster-webserver: dagster-webserver dagster-webserver-debug
                   ok      0.2 s  dagster-webserver --version: 1.12.2
                   ok      0.2 s  dagster-webserver-debug --help: status 0
                   ok      0.2 s  interpreter of dagster: Python 3.11 at `[WORLD]/flox/store/00qx128r30vjr484yc4gsf0lmckb1fgv-python3-3.12/bin/python3.12`
                   ok      0.2 s  requirements of dagster: 34 distributions have what they need
                   ok      0.1 s  imports of dagster: dagster dagster_pipes dagster_shared
                   ok      0.2 s  interpreter of dagster-graphql: Python 3.11 at `[WORLD]/flox/store/00qx128r30vjr484yc4gsf0lmckb1fgv-python3-3.12/bin/python3.12`
                   ok      0.2 s  requirements of dagster-graphql: 38 distributions have what they need
                   ok      0.2 s  imports of dagster-graphql: dagster dagster_graphql dagster_pipes dagster_shared
                   ok      0.2 s  interpreter of dagster-webserver: Python 3.11 at `[WORLD]/flox/store/00qx128r30vjr484yc4gsf0lmckb1fgv-python3-3.12/bin/python3.12`
                   ok      0.2 s  requirements of dagster-webserver: 40 distributions have what they need
                   ok      0.1 s  imports of dagster-webserver: dagster dagster_graphql dagster_pipes dagster_shared dagster_webserver
                   ok      0.2 s  definitions validate: status 0
                   ok      0.1 s  asset materialize: `answer` is 42
                   ok      0.2 s  webserver: answers at http://127.0.0.1:45861
                   ok      0.0 s  server_info: 1.12.2
                   ok      0.0 s  web page: 4 files
                   ok      0.0 s  graphql: 1.12.2, lists `answer` and `answer_job`
                   ok      2.2 s  webserver end: no process left
            Passed `separate`: 27 probes
          Building combined 1.12.2: dagster-complete
                   ! You are not logged in to FloxHub. Run 'flox auth login' to log in.
                   Building dagster-complete in Nix expression mode
                   building '[WORLD]/flox/store/hjh05b8f11w97lrks50gdxz6sjnpc1bz-python3-3.12-env.drv'...
                   building '[WORLD]/flox/store/157iyknwcqdqildsxn8bbah1afm783aa-dagster-complete-1.12.2.drv'...
                   Completed build of dagster-complete in Nix expression mode
                   ⚡︎ Built output: [WORLD]/clone/flox/result-dagster-complete
           Smoking `combined` 1.12.2, a flox result
                   ok      0.0 s  commands: dagster dagster-daemon dagster-graphql dagster-webserver dagster-webserver-debug
                   ok      0.2 s  dagster --version: 1.12.2
                   ok      0.2 s  dagster-daemon --version: 1.12.2
                   ok      0.1 s  dagster-graphql --version: 1.12.2
                   ok      0.3 s  dagster-webserver --version: 1.12.2
                   ok      0.1 s  dagster-webserver-debug --help: status 0
                   ok      0.3 s  interpreter: Python 3.11 at `[WORLD]/flox/store/hjh05b8f11w97lrks50gdxz6sjnpc1bz-python3-3.12-env/bin/python3.12`
                   ok      0.2 s  requirements: 40 distributions have what they need
                   ok      0.1 s  imports: dagster dagster_graphql dagster_pipes dagster_shared dagster_webserver
                   ok      0.1 s  definitions validate: status 0
                   ok      0.1 s  asset materialize: `answer` is 42
                   ok      0.2 s  webserver: answers at http://127.0.0.1:33377
                   ok      0.0 s  server_info: 1.12.2
                   ok      0.0 s  web page: 4 files
                   ok      0.0 s  graphql: 1.12.2, lists `answer` and `answer_job`
                   ok      2.2 s  webserver end: no process left
            Passed `combined`: 16 probes
        Committing dagster 1.12.2 on `main`
           Pushing `main` to `origin`
        Publishing dagster-flox/dagster-src@1.12.2 for [SYSTEM]
                   Building dagster-src in Nix expression mode
                   Completed build of dagster-src in Nix expression mode
                   ✔ Package published successfully.
           
                   Use 'flox install dagster-flox/dagster-src' to install it.
        Publishing dagster-flox/dagster-pipes@1.12.2 for [SYSTEM]
                   Building dagster-pipes in Nix expression mode
                   Completed build of dagster-pipes in Nix expression mode
                   ✔ Package published successfully.
           
                   Use 'flox install dagster-flox/dagster-pipes' to install it.
        Publishing dagster-flox/dagster-shared@1.12.2 for [SYSTEM]
                   Building dagster-shared in Nix expression mode
                   Completed build of dagster-shared in Nix expression mode
                   ✔ Package published successfully.
           
                   Use 'flox install dagster-flox/dagster-shared' to install it.
        Publishing dagster-flox/dagster@1.12.2 for [SYSTEM]
                   Building dagster in Nix expression mode
                   Completed build of dagster in Nix expression mode
                   ✔ Package published successfully.
           
                   Use 'flox install dagster-flox/dagster' to install it.
        Publishing dagster-flox/dagster-graphql@1.12.2 for [SYSTEM]
                   Building dagster-graphql in Nix expression mode
                   Completed build of dagster-graphql in Nix expression mode
                   ✔ Package published successfully.
           
                   Use 'flox install dagster-flox/dagster-graphql' to install it.
        Publishing dagster-flox/dagster-webserver@1.12.2 for [SYSTEM]
                   Building dagster-webserver in Nix expression mode
                   Completed build of dagster-webserver in Nix expression mode
                   ✔ Package published successfully.
           
                   Use 'flox install dagster-flox/dagster-webserver' to install it.
        Publishing dagster-flox/dagster-complete@1.12.2 for [SYSTEM]
                   Building dagster-complete in Nix expression mode
                   Completed build of dagster-complete in Nix expression mode
                   ✔ Package published successfully.
           
                   Use 'flox install dagster-flox/dagster-complete' to install it.
         Published dagster-flox/dagster-src@1.12.2 for [SYSTEM]: flox install dagster-flox/dagster-src@1.12.2
         Published dagster-flox/dagster-pipes@1.12.2 for [SYSTEM]: flox install dagster-flox/dagster-pipes@1.12.2
         Published dagster-flox/dagster-shared@1.12.2 for [SYSTEM]: flox install dagster-flox/dagster-shared@1.12.2
         Published dagster-flox/dagster@1.12.2 for [SYSTEM]: flox install dagster-flox/dagster@1.12.2
         Published dagster-flox/dagster-graphql@1.12.2 for [SYSTEM]: flox install dagster-flox/dagster-graphql@1.12.2
         Published dagster-flox/dagster-webserver@1.12.2 for [SYSTEM]: flox install dagster-flox/dagster-webserver@1.12.2
         Published dagster-flox/dagster-complete@1.12.2 for [SYSTEM]: flox install dagster-flox/dagster-complete@1.12.2
    "#]],
    );
}

#[test]
fn another_branch() {
    let scene = Scene::new();
    scene.git(&["switch", "--quiet", "--create", "topic"]);
    refused(
        &scene,
        &["release", "1.12.2"],
        &expect![[r#"
        status: 1
        ----- stdout
        ----- stderr
        error: expected branch `main` or `release/1.12`, found `topic`
        hint: `git switch main`
    "#]],
    );
}

#[test]
fn commits_that_were_not_pushed() {
    let scene = Scene::new();
    scene.git(&["commit", "--quiet", "--allow-empty", "--message=Something else"]);
    refused(
        &scene,
        &["release", "1.12.2"],
        &expect![[r#"
        status: 1
        ----- stdout
        ----- stderr
        Inspecting dagster-io/dagster 1.12.2
           Hashing [UPSTREAM]/dagster-io/dagster/archive/refs/tags/1.12.2.tar.gz
                   source sha256-0rX5fxUaw1SWygVTw9sT9/OlV3pYsFSrBt97azcm1zY=
        error: 1 commits of `main` are not on `origin/main`
        hint: `git push`, so that a release pushes its own commit only
    "#]],
    );
    refused(
        &scene,
        &["publish"],
        &expect![[r#"
        status: 1
        ----- stdout
        ----- stderr
        error: 1 commits of `main` are not on `origin/main`
        hint: `git push`
    "#]],
    );
}

#[test]
fn not_logged_in() {
    let scene = Scene::new();
    let output =
        scene.xtask(&["release", "1.12.2"]).env_remove("FLOX_FLOXHUB_TOKEN").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    expect![[r#"
        error: `flox auth status` exited with status 1
          Caused by: You are not currently logged in to FloxHub.
        hint: run `flox auth login` or set `FLOX_FLOXHUB_TOKEN`
    "#]]
    .assert_eq(&String::from_utf8(output.stderr).unwrap());
}

#[test]
fn an_organization_that_cannot_be() {
    let scene = Scene::new();
    refused(
        &scene,
        &["release", "1.12.2", "--org", "a/b"],
        &expect![[r#"
        status: 2
        ----- stdout
        ----- stderr
        error: expected an organization of 3 to 63 letters, digits, `-` or `_`, found `a/b`
    "#]],
    );
}

#[test]
fn an_archive_that_was_cut_short() {
    let scene = Scene::with_upstream_faults(&["archive-truncated"]);
    refused(
        &scene,
        &["bump", "1.12.2"],
        &expect![[r#"
        status: 1
        ----- stdout
        ----- stderr
        Inspecting dagster-io/dagster 1.12.2
           Hashing [UPSTREAM]/dagster-io/dagster/archive/refs/tags/1.12.2.tar.gz
        error: failed to read the archive `[UPSTREAM]/dagster-io/dagster/archive/refs/tags/1.12.2.tar.gz`
          Caused by: the archive is cut short
    "#]],
    );
}

#[test]
fn a_tag_that_moved() {
    let scene = Scene::with_upstream_faults(&["moved-tag=1.12.2"]);
    refused(
        &scene,
        &["bump", "1.12.2"],
        &expect![[r#"
        status: 3
        ----- stdout
        ----- stderr
        Inspecting dagster-io/dagster 1.12.2
           Hashing [UPSTREAM]/dagster-io/dagster/archive/refs/tags/1.12.2.tar.gz
        error: tag `1.12.2` moved: expected commit [COMMIT], found [COMMIT] in its archive
        hint: find out from upstream which one is the release, then run the command again
    "#]],
    );
}

#[test]
fn github_has_had_enough_of_us() {
    let scene = Scene::with_upstream_faults(&["github-403-rate-limit"]);
    refused(
        &scene,
        &["bump", "1.12.2"],
        &expect![[r#"
        status: 1
        ----- stdout
        ----- stderr
        Inspecting dagster-io/dagster 1.12.2
        error: failed to find tag `1.12.2` of `dagster-io/dagster`
          Caused by: GitHub answered 403: API rate limit exceeded for 192.0.2.1.
        hint: set `GITHUB_TOKEN`: it raises the rate limit
    "#]],
    );
}

#[test]
fn an_index_that_does_not_answer() {
    let scene = Scene::with_upstream_faults(&["index-500"]);
    let before = scene.state();
    let ran = scene.run(&["bump", "1.12.2"]);
    ran.expect_status(1);
    assert!(ran.stderr.contains("failed to ask pip's index"), "{}", ran.stderr);
    assert_eq!(scene.state(), before);
}

#[test]
fn outside_a_checkout() {
    let scene = Scene::new();
    let output = scene.xtask(&["status"]).current_dir(scene.world.dir()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.starts_with("error: expected a checkout with `release.toml`"), "{stderr}");
}

#[test]
fn a_file_that_is_not_there() {
    let scene = Scene::new();
    refused(
        &scene,
        &["prefetch", "./no-such.tar.gz"],
        &expect![[r#"
        status: 2
        ----- stdout
        ----- stderr
        error: no such file: `./no-such.tar.gz`
        hint: give a version like `1.9.12`, a URL, or the path of a `.tar.gz`
    "#]],
    );
}

//! The checks over a small directory of packages, with the Python of this machine: what each break is
//! called.

use std::fs;
use std::process::Command;
use std::sync::LazyLock;

use super::super::budget::Budget;
use super::*;
use crate::model::config::Smoke;
use crate::tools::confine::Access;

/// A directory of packages with `dagster`, which requires `needed`.
struct Site {
    dir: tempfile::TempDir,
}

const INIT: &str = "\
def late():
    from dagster.deep import there
    import needed.part, json, elsewhere
    try:
        import dagster.nowhere
    except ImportError:
        pass
    if sys.platform == 'win32':
        import needed.windows
";

/// Where the Python of this machine has its own modules.
static LIBRARY: LazyLock<Vec<String>> = LazyLock::new(|| {
    let script = "import json, sys; print(json.dumps(sys.path))";
    serde_json::from_slice(&python(&["-ISBc", script])).unwrap()
});

fn python(args: &[&str]) -> Vec<u8> {
    let ran = Command::new("python3").args(args).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    ran.stdout
}

impl Site {
    fn new() -> Self {
        let site = Self { dir: tempfile::tempdir().unwrap() };
        site.write("dagster/__init__.py", INIT);
        site.write("dagster/deep.py", "there = 1\n");
        site.write("dagster/script.py", "open('not/there')\n");
        site.write("dagster/tested.py", "import pytest\n");
        site.write("needed/__init__.py", "");
        site.write("needed/part.py", "");
        site.distribution(
            "dagster",
            "1.9.12",
            "Requires-Dist: needed<3,>=1; python_version > '3'\n",
        );
        site.distribution("needed", "2.0", "");
        site
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.dir.path().join("site").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.dir.path().join("site").join(name)).unwrap();
    }

    /// Metadata, and a record of what is there, without hashes.
    fn distribution(&self, name: &str, version: &str, more: &str) {
        let info = format!("{name}-{version}.dist-info");
        let text = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{more}");
        self.write(&format!("{info}/METADATA"), text);
        let mut record = format!("../../bin/{name},sha256=x,1\n{info}/METADATA,,\n");
        for entry in fs::read_dir(self.dir.path().join("site").join(name)).unwrap() {
            let file = entry.unwrap().file_name();
            record += &format!("{name}/{},,\n", file.to_str().unwrap());
        }
        self.write(&format!("{info}/RECORD"), record);
    }

    /// What the checks but that of migrations say.
    fn look(&self, upstream: &Value) -> String {
        let scripts = self.dir.path().join("xtask_installed");
        fs::create_dir_all(&scripts).unwrap();
        for (name, text) in SCRIPTS {
            fs::write(scripts.join(name), text).unwrap();
        }
        let mut path = LIBRARY.clone();
        let site = self.dir.path().join("site").to_str().unwrap().to_owned();
        path.insert(0, site.clone());
        let answers = self.dir.path().join("answers");
        let checks: Vec<&str> = CHECKS.into_iter().filter(|name| *name != MIGRATIONS).collect();
        let task = json!({
            "path": path,
            "versions": { "dagster": "1.9.12" },
            "modules": { "dagster": format!("{site}/dagster/__init__.py") },
            "own": { "dagster": "dagster" },
            "upstream": upstream,
            "checks": checks,
            "answers": answers,
        });
        let file = self.dir.path().join("task.json");
        fs::write(&file, task.to_string()).unwrap();
        python(&["-IB", scripts.join("run.py").to_str().unwrap(), file.to_str().unwrap()]);
        let answers = parse(&fs::read_to_string(answers).unwrap()).unwrap();
        let mut said = String::new();
        for name in checks {
            let Answer { found, problems, .. } = &answers[name];
            if problems.is_empty() {
                said += &format!("{name}: {}\n", found.as_deref().unwrap_or_default());
            }
            for (what, expected, found) in problems {
                said += &format!("FAILED {name}: {what}: expected {expected}, found {found}\n");
            }
        }
        said.replace(&site, "[SITE]")
    }

    /// What is wrong after a change.
    fn problems(change: impl FnOnce(&Self)) -> String {
        let site = Self::new();
        change(&site);
        let said = site.look(&json!({}));
        said.lines()
            .filter_map(|line| Some(line.strip_prefix("FAILED ")?.to_owned() + "\n"))
            .collect()
    }
}

#[test]
fn what_is_good_is_said_in_a_line_each() {
    let site = Site::new();
    let upstream = json!({ "dagster": ["needed<2", "other>1"] });
    let said = site.look(&upstream);
    let (before, after) = said.split_once("compiled modules: 0, for ").unwrap();
    expect_test::expect![[r#"
        requirements: 2 distributions have what they need
        distributions: 2, one of each name
        files: 5, as recorded by dagster; 2 of others
        bounds: 1 hold; outside upstream's bounds, relaxed: needed 2.0 <2
    "#]]
    .assert_eq(before);
    expect_test::expect![[r#"
        syntax: 4 files compile
        imports: dagster
        lazy imports: 2 modules, and 3 imports in their functions; not required and not asked: elsewhere pytest
    "#]].assert_eq(after.split_once('\n').unwrap().1);
    assert!(site.look(&Value::Null).contains("bounds: 1 hold, of those that packaging left\n"));
}

#[test]
fn each_break_is_named() {
    let found = [
        Site::problems(|site| {
            site.remove("dagster/script.py");
            site.write("dagster/more.py", "");
            let hash = "dagster/deep.py,sha256=AAAA,\ndagster/__init__.py,,3\n";
            site.write("dagster-1.9.12.dist-info/RECORD", format!("{hash}dagster/script.py,,\n"));
        }),
        Site::problems(|site| site.remove("dagster-1.9.12.dist-info/RECORD")),
        Site::problems(|site| {
            site.write("Needed-1.dist-info/METADATA", "Name: Needed\nVersion: 1\n");
            site.write("dagster.py", "");
            site.write("dagster.egg-link", "/src\n.\n");
            site.write("__editable__.dagster-1.9.12.pth", "/src\n");
            site.write("__editable___mine_0_1_finder.py", "");
        }),
        Site::problems(|site| {
            site.remove("needed-2.0.dist-info/METADATA");
            site.remove("needed-2.0.dist-info/RECORD");
            fs::remove_dir(site.dir.path().join("site/needed-2.0.dist-info")).unwrap();
            site.distribution("needed", "3.0", "");
        }),
        Site::problems(|site| site.write("dagster/deep.py", "there = 1\nreturn\n")),
        Site::problems(|site| site.write("dagster/deep.py", "elsewhere = 1\n")),
        Site::problems(|site| site.write("dagster/tested.py", "import needed.gone\n")),
        Site::problems(|site| site.remove("needed/part.py")),
        Site::problems(|site| {
            site.write("dagster/version.py", "__version__ = '1!0+dev'\n");
            site.distribution("dagster", "1.9.12", "Requires-Python: <3\n");
            site.write("stray.pth", "");
            site.write("_virtualenv.pth", "");
        }),
    ];
    let version = python(&["-c", "import platform; print(platform.python_version(), end='')"]);
    let version = String::from_utf8(version).unwrap();
    expect_test::expect![[r#"
        files: files of `dagster`: expected all that are recorded, found no `dagster/script.py`
        files: files of `dagster`: expected them as recorded, found `dagster/deep.py` with another content
        files: files of `dagster`: expected no other than are recorded, found `dagster/more.py`, `dagster/tested.py`
        --
        files: files of `dagster`: expected a RECORD of them, found none
        --
        distributions: distribution `needed`: expected one, found 2: 1 in `[SITE]/Needed-1.dist-info`, 2.0 in `[SITE]/needed-2.0.dist-info`
        distributions: `[SITE]/__editable__.dagster-1.9.12.pth`: expected no distribution in development, found one
        distributions: `[SITE]/dagster.egg-link`: expected no distribution in development, found one
        distributions: module `dagster`: expected one, found 2: `[SITE]/dagster/__init__.py`, `[SITE]/dagster.py`
        --
        bounds: `needed`, which `dagster` requires: expected a version <3,>=1, found 3.0
        --
        syntax: `dagster/deep.py`: expected what Python compiles, found line 2: 'return' outside function
        --
        lazy imports: `import dagster.deep` (dagster/__init__.py:2): expected no error, found `ImportError: cannot import name `there` from `dagster.deep``
        --
        lazy imports: `import dagster.tested` (dagster/tested.py): expected no error, found `ModuleNotFoundError: No module named 'needed.gone'`
        --
        files: files of `needed`: expected all that are recorded, found no `needed/part.py`
        lazy imports: `import needed.part` (dagster/__init__.py:3): expected no error, found `ModuleNotFoundError: No module named 'needed.part'`
        --
        distributions: `[SITE]/stray.pth`: expected a file of a distribution, found one that none recorded
        bounds: Python, which `dagster` requires: expected a version <3, found [PYTHON]
        imports: `dagster.version.__version__`: expected `1.9.12`, found `1!0+dev`
    "#]].assert_eq(&found.join("--\n").replace(&version, "[PYTHON]"));
}

#[test]
#[cfg(target_os = "linux")]
fn compiled_modules_of_another_system_are_named() {
    let elf = |machine: u16| {
        let mut head = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0".to_vec();
        head.extend(machine.to_le_bytes());
        head
    };
    let universal =
        b"\xca\xfe\xba\xbe\0\0\0\x02\x01\0\0\x07\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\x0c";
    let found = Site::problems(|site| {
        // RISC-V: nobody runs this on it
        site.write("a/b.abi3.so", elf(243));
        site.write("a.libs/c.so.1", elf(243));
        site.write("a/data.so", elf(243));
        site.write("a/d.so", [elf(243), b"PyInit_d".to_vec()].concat());
        site.write("a/e.cpython-38-x86_64-linux-gnu.so", "text");
        site.write("a/f.abi3.so", universal);
    });
    let this = found.split(['(', ')']).nth(1).unwrap();
    expect_test::expect![[r#"
        compiled modules: `[SITE]/a/b.abi3.so`: expected a module for this system (THIS), found one for riscv64
        compiled modules: `[SITE]/a/d.so`: expected a module for this system (THIS), found one for riscv64
        compiled modules: `[SITE]/a/e.cpython-38-x86_64-linux-gnu.so`: expected a module for this system (THIS), found no ELF file
        compiled modules: `[SITE]/a/f.abi3.so`: expected a module for this system (THIS), found a Mach-O file
        compiled modules: `[SITE]/a.libs/c.so.1`: expected a module for this system (THIS), found one for riscv64
    "#]].assert_eq(&found.replace(this, "THIS"));
}

#[test]
fn checks_that_do_not_end_are_a_finding() {
    let dir = tempfile::tempdir().unwrap();
    let waited = |seconds: u64, script: &str| {
        let limits = Smoke { command_seconds: seconds, seconds: 600, ..Smoke::default() };
        let budget = Budget::start(&limits, dir.path());
        let temporary = dir.path().join("t");
        let sandbox =
            Sandbox::create(dir.path(), &temporary, "x", budget, Access::default()).unwrap();
        let answers = sandbox.path("answers");
        let process = sandbox.spec(Path::new("/bin/sh"), &["-c", script]).start().unwrap();
        let finding = wait(&sandbox, process, &answers).unwrap();
        (answered(&answers), finding.to_string())
    };
    let what = "the checks of what is installed: expected an answer";
    let (text, finding) = waited(60, "echo one >answers; echo two >>answers; echo no >&2; exit 3");
    assert_eq!((&*text, finding), ("one\ntwo\n", format!("{what} of each, found status 3: no")));
    let (_, finding) = waited(1, "sleep 1000");
    let late = format!("{what} within 1 s");
    assert!(finding.starts_with(&late), "{finding}");
}

#[test]
fn versions_are_those_of_pep_440() {
    let table = [
        ("1.0", "==", "1", true),
        ("1.0.post1", ">", "1.0", false),
        ("1.0.post1", ">=", "1.0", true),
        ("3.0rc1", "<", "3", false),
        ("3.0rc1", "<", "3.0.post1", true),
        ("3.0.dev1", "<", "3.0a1", true),
        ("2.10", ">", "2.9", true),
        ("1!0", ">", "2026.1", true),
        ("2.2.post3", "~=", "2.2", true),
        ("3.0", "~=", "2.2", false),
        ("1.6.3", "!=", "1.6.*", false),
        ("1.0+local", "==", "1.0", true),
        ("1.0C1", "==", "1.0rc1", true),
    ];
    let script = "import json, sys; sys.path.insert(0, sys.argv[1])\n\
                  from requirements import compare\n\
                  print(json.dumps([compare(*row) for row in json.loads(sys.argv[2])]))";
    let dir = tempfile::tempdir().unwrap();
    let (_, text) = SCRIPTS.iter().find(|(name, _)| *name == "requirements.py").unwrap();
    fs::write(dir.path().join("requirements.py"), text).unwrap();
    let rows: Vec<_> = table.iter().map(|(one, op, other, _)| (one, op, other)).collect();
    let rows = serde_json::to_string(&rows).unwrap();
    let answer = python(&["-IBc", script, dir.path().to_str().unwrap(), &rows]);
    let found: Vec<bool> = serde_json::from_slice(&answer).unwrap();
    assert_eq!(found, table.map(|(.., expected)| expected));
}

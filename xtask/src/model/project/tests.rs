//! Both forms that upstream used, and what they do not say.

use std::collections::BTreeMap;

use super::{COMPUTED, Project, read};

fn project(files: &[(&str, &str)]) -> anyhow::Result<Option<Project>> {
    let files: BTreeMap<String, &str> =
        files.iter().map(|(path, text)| (format!("p/dagster/{path}"), *text)).collect();
    read("p/dagster", "dagster", false, |path| files.get(path).copied())
}

fn of(files: &[(&str, &str)]) -> Project {
    project(files).unwrap().unwrap()
}

fn values(list: Option<Vec<super::Located<String>>>) -> Option<Vec<String>> {
    list.map(|list| list.into_iter().map(|item| item.value).collect())
}

const SETUP: &str = r#"
from setuptools import find_packages, setup

def get_version() -> str:
    version: dict[str, str] = {}
    with open("dagster/version.py", encoding="utf8") as fp:
        exec(fp.read(), version)
    return version["__version__"]

GRPC_VERSION_FLOOR = "1.44.0"
COMMON = ["six"]
ver = get_version()
pin = "" if ver == "1!0+dev" else f"=={ver}"

setup(
    name="dagster",
    version=get_version(),
    python_requires=">=3.9,<3.14",
    install_requires=[
        "click>=5.0,<9.0",  # command line
        f"grpcio>={GRPC_VERSION_FLOOR}",
        "dagster-pipes" + pin if ver else "x",
        f"dagster-shared{pin}",
    ] + COMMON,
    extras_require={"test": ["pytest>=8"]},
    entry_points={"console_scripts": ["dagster = dagster.cli:main"]},
)
"#;

#[test]
fn setup_py_is_read_and_never_run() {
    let text = SETUP.replace("        \"dagster-pipes\" + pin if ver else \"x\",\n", "");
    let found = of(&[("setup.py", &text), ("dagster/version.py", "__version__ = \"1.12.1\"\n")]);
    let hole = format!("dagster-shared{COMPUTED}");
    assert_eq!(
        values(found.requirements.clone()).unwrap(),
        ["click>=5.0,<9.0", "grpcio>=1.44.0", &hole, "six"]
    );
    let click = &found.requirements.unwrap()[0];
    assert_eq!(click.place().to_string(), "p/dagster/setup.py:20");
    assert_eq!(values(found.commands).unwrap(), ["dagster"]);
    assert_eq!(found.python.unwrap().value, ">=3.9,<3.14");
    assert_eq!(values(Some(found.versions)).unwrap(), ["1.12.1"]);
    assert_eq!(found.optional.unwrap()["test"][0].value, "pytest>=8");
    assert_eq!(found.build.backend.value, "setuptools.build_meta");
    assert_eq!(found.build.requirements[0].value, "setuptools>=40.8.0");
}

#[test]
fn what_is_computed_is_not_known() {
    assert_eq!(of(&[("setup.py", SETUP)]).requirements, None);
    for arguments in [
        "**arguments",
        "install_requires=open('requirements.txt').readlines()",
        "install_requires=[x for x in y]",
        "install_requires=LIST",
    ] {
        let text = format!("LIST = ['a']\nLIST.append('b')\nsetup({arguments})\n");
        assert_eq!(of(&[("setup.py", &text)]).requirements, None, "{arguments}");
    }
    let nothing = of(&[("setup.py", "setup(name='x')\n")]);
    assert_eq!(values(nothing.requirements).unwrap(), [""; 0]);
    let version = "__version__ = compute()\n";
    let unknown = of(&[("setup.py", "setup()"), ("dagster/version.py", version)]);
    assert_eq!(unknown.versions, []);
}

#[test]
fn pyproject_goes_before_setup_py() {
    let pyproject = "[build-system]\nrequires = [\"hatchling>=1.19.0\"]\n\
                     build-backend = \"hatchling.build\"\n\n\
                     [project]\nname = \"dagster\"\nversion = \"1!0+dev\"\ndynamic = [\"optional-dependencies\"]\n\
                     requires-python = \">=3.10,<3.15\"\n\
                     dependencies = [\n  \"click>=5.0,<9.0\",\n]\n\n\
                     [project.scripts]\ndagster = \"dagster.cli:main\"\n";
    let found = of(&[("pyproject.toml", pyproject), ("setup.py", SETUP)]);
    assert_eq!(values(found.requirements.clone()).unwrap(), ["click>=5.0,<9.0"]);
    assert_eq!(found.requirements.unwrap()[0].place().to_string(), "p/dagster/pyproject.toml:11");
    assert_eq!(found.versions[0].value, "1!0+dev");
    assert_eq!((found.optional, found.build.backend.line), (None, 3));
    assert_eq!(values(found.commands).unwrap(), ["dagster"]);
    // With nothing but a build system, the metadata is in setup.py.
    let found = of(&[
        ("pyproject.toml", "[build-system]\nrequires = [\"setuptools\", \"wheel\"]\n"),
        ("setup.py", "setup(install_requires=['six'])"),
    ]);
    assert_eq!(values(found.requirements).unwrap(), ["six"]);
    assert_eq!(found.build.requirements.len(), 2);
}

#[test]
fn bad_files_are_named() {
    assert_eq!(project(&[]).unwrap(), None);
    for (file, text, expected) in [
        ("setup.py", "x = 1\nsetup(\n", "p/dagster/setup.py"),
        ("pyproject.toml", "[project\n", "p/dagster/pyproject.toml"),
        ("pyproject.toml", "[project]\ndependencies = 3\n", "p/dagster/pyproject.toml"),
    ] {
        let error = format!("{:#}", project(&[(file, text)]).unwrap_err());
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn nesting_without_end_is_an_error_or_unknown() {
    for [open, close] in
        [["[", "]"], ["(", ")"], ["-", ""], ["lambda:", ""], ["{1:", "}"], ["f(", ")"]]
    {
        let count = super::LARGEST as usize / open.len().max(close.len());
        let deep =
            format!("setup(install_requires={}1{})", open.repeat(count), close.repeat(count));
        let found = project(&[("setup.py", &deep)]);
        assert!(found.is_err() || found.unwrap().unwrap().requirements.is_none(), "{open}");
    }
    let round = "a = b\nb = a\nsetup(install_requires=a)";
    assert_eq!(of(&[("setup.py", round)]).requirements, None);
}

//! Probes of what lies in the store: links, traces of the build, and what comes along.

use std::path::{Path, PathBuf};

use anyhow::Result;
use memchr::memmem;

use super::context::{Context, Last};
use super::probe::{Checked, Finding, Job, Probe};
use super::tree::Kind;
use crate::model::closure::Closure;
use crate::tools::store::{Store, each_file};

/// Where Nix builds: with a sandbox, without, and since Nix 2.30.
const BUILD_DIRECTORIES: [&str; 4] =
    ["/build/source", "file:///build/", "/nix-build-", "/nix/var/nix/builds/"];

/// None for a virtual environment; elsewhere, skipped for what is not in a store.
pub fn jobs<'a>(context: &'a Context<'_>) -> Vec<Job<'a>> {
    if context.tree.kind == Kind::Venv {
        return Vec::new();
    }
    vec![
        in_store("links", context, move |store| links(context, store)),
        in_store("build directory", context, move |_| build_directory(context)),
        in_store("closure", context, move |store| closure(context, store)),
    ]
}

fn in_store<'a>(
    name: &'static str,
    context: &'a Context<'_>,
    probe: impl Fn(&Store) -> Checked + Send + Sync + 'a,
) -> Job<'a> {
    Job::new(vec![name.to_owned()], move || {
        let Some(part) = context.tree.parts.first() else { return Vec::new() };
        vec![match Store::around(&part.root) {
            Ok(Some(store)) => Probe::run(name, || probe(&store)),
            Ok(None) => {
                Probe::skipped(name, format!("`{}` is not in a Nix store", part.root.display()))
            }
            Err(error) => Probe::run(name, move || Err(error)),
        }]
    })
}

/// Every file and link that we packaged: what is in a source is upstream's.
fn each_packaged_file(context: &Context<'_>, see: &mut impl FnMut(&Path, &[u8])) -> Result<()> {
    let mut parts = context.tree.parts.iter().filter(|part| !part.packages.is_empty());
    parts.try_for_each(|part| each_file(&part.root.canonicalize()?, see))
}

/// Symbolic links lead to something, and that is in the store.
fn links(context: &Context<'_>, store: &Store) -> Checked {
    let mut findings = Vec::new();
    let mut count = 0;
    each_packaged_file(context, &mut |path, target| {
        if !path.is_symlink() {
            return;
        }
        count += 1;
        let target = String::from_utf8_lossy(target);
        match path.canonicalize() {
            Err(_) => findings.push(Finding::new(
                format!("`{}`", path.display()),
                "a link to something",
                format!("`{target}`, which is not there"),
            )),
            Ok(end) if !store.contains(&end) => findings.push(Finding::new(
                format!("`{}`", path.display()),
                "a link into the store",
                format!("`{}`", end.display()),
            )),
            Ok(_) => {}
        }
    })?;
    Ok(if findings.is_empty() { Ok(format!("{count} lead into the store")) } else { Err(findings) })
}

/// No file names a place that was there only while it was built.
fn build_directory(context: &Context<'_>) -> Checked {
    let mut places: Vec<Vec<u8>> =
        BUILD_DIRECTORIES.iter().map(|place| place.as_bytes().to_vec()).collect();
    if let Some(checkout) = context.checkout {
        places.push(format!("{}/", checkout.display()).into_bytes());
    }
    let mut findings = Vec::new();
    each_packaged_file(context, &mut |path, content| {
        if let Some(found) = places.iter().find_map(|place| trace(content, place)) {
            let what = format!("`{}`", path.display());
            findings.push(Finding::new(
                what,
                "no trace of the build directory",
                format!("`{found}`"),
            ));
        }
    })?;
    Ok(if findings.is_empty() { Ok("no trace of it".to_owned()) } else { Err(findings) })
}

/// The text around a place where it is a path of its own, not the end of a longer one.
fn trace(content: &[u8], place: &[u8]) -> Option<String> {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    let at = memmem::find_iter(content, place).find(|&at| {
        // `/nix-build-` is below whatever directory holds temporary files
        place == b"/nix-build-" || at == 0 || !is_name(&content[at - 1])
    })?;
    let rest = &content[at..];
    let end = rest.iter().position(|byte| !byte.is_ascii_graphic()).unwrap_or(rest.len());
    Some(String::from_utf8_lossy(&rest[..end.min(100)]).into_owned())
}

fn closure(context: &Context<'_>, store: &Store) -> Checked {
    let closure = measure(context, store)?;
    let Some(Last { closure: last, percent }) = context.last else {
        return Ok(Ok(format!("{closure}; no release to compare with")));
    };
    Ok(if closure.is_jump_from(last, percent) {
        Err(vec![Finding::new(
            "closure",
            format!("no more than {percent}% from the last release's {last}"),
            closure.to_string(),
        )])
    } else {
        Ok(format!("{closure}; at the last release {last}"))
    })
}

fn measure(context: &Context<'_>, store: &Store) -> Result<Closure> {
    let roots: Vec<PathBuf> = context.tree.parts.iter().map(|part| part.root.clone()).collect();
    let closure = store.closure(roots.iter().map(PathBuf::as_path))?;
    if let Ok(mut measured) = context.closure.lock() {
        *measured = Some(closure);
    }
    Ok(closure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_are_paths_of_their_own() {
        let place = b"/build/source";
        assert_eq!(trace(b"x = '/build/source/a.py'", place).unwrap(), "/build/source/a.py'");
        assert_eq!(trace(b"webapp/build/source/a.js", place), None);
        assert_eq!(trace(b"webapp/build/source /build/source", place).unwrap(), "/build/source");
        let found = trace(b"\0/tmp/nix-build-x.drv-0/y\0", b"/nix-build-").unwrap();
        assert_eq!(found, "/nix-build-x.drv-0/y");
    }
}

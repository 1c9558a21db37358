//! The calls that pin something, and what they pin now.
//!
//! Hashes are read as Nix reads them: SRI, or SHA-256 in hexadecimal or in Nix's base-32, with or
//! without `sha256:` in front.

use std::collections::BTreeMap;

use rnix::ast::{self, Expr, HasEntry as _};
use rowan::ast::AstNode as _;
use semver::Version;

use super::python;
use super::scope::{Code, Literal, Piece, Refused, Sources, Text};
use super::syntax::{self, Source};
use super::{NixFile, Pinned, PinnedPypi, Scope, normalised};
use crate::failure::Failure;
use crate::model::located::Located;
use crate::model::sri::Sri;

pub(super) const TAG_PREFIX: &str = "refs/tags/";

/// Arguments with which `fetchFromGitHub` hashes something else than the tag's archive.
const OTHER_SOURCE: [&str; 11] = [
    "deepClone",
    "fetchLFS",
    "fetchSubmodules",
    "fetchTags",
    "forceFetchGit",
    "githubBase",
    "leaveDotGit",
    "postFetch",
    "rootDir",
    "sparseCheckout",
    "stripRoot",
];

impl Scope {
    pub(super) fn repository(&self) -> String {
        format!("{}/{}", self.owner, self.repo)
    }

    /// Is this the name of one of upstream's packages, or of something made of them?
    pub(super) fn owns(&self, name: &str) -> bool {
        let name = normalised(name);
        let repo = normalised(&self.repo);
        self.packages.contains(&name)
            || name.strip_prefix(&repo).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    }
}

/// A hash as it is written.
pub(super) struct HashPin {
    pub literal: Literal,
    pub value: Sri,
}

/// A `fetchFromGitHub` of upstream's repository.
pub(super) struct SourceCall {
    pub place: String,
    pub rev: Text,
    pub rev_place: (usize, usize),
    pub version: Version,
    pub hash: HashPin,
}

/// A `fetchPypi` of one of upstream's packages.
pub(super) struct PypiCall {
    pub place: String,
    pub name: String,
    pub version: Literal,
    pub hash: HashPin,
    pub is_wheel: bool,
}

/// A fetch of something else whose version is written in these files.
pub(super) struct ForeignCall {
    pub place: String,
    pub what: String,
    pub versions: Vec<Literal>,
}

/// `version = "…"` in the attributes of one of upstream's packages.
pub(super) struct VersionBinding {
    pub name: Option<String>,
    pub literal: Literal,
}

pub(super) struct Survey<'a> {
    pub sources: &'a Sources,
    pub scope: &'a Scope,
    pub upstream: Vec<SourceCall>,
    pub pypi: Vec<PypiCall>,
    pub foreign: Vec<ForeignCall>,
    /// Of upstream's packages, or of something without a name.
    pub versions: Vec<VersionBinding>,
    /// Names of Pythons: all of one version.
    pub pythons: Vec<python::Name>,
    python: Option<Located<String>>,
}

impl Sources {
    pub fn parse(files: &[NixFile]) -> Result<Self, Failure> {
        files.iter().map(Source::parse).collect::<Result<_, _>>().map(Self)
    }

    pub fn place(&self, file: usize, offset: usize) -> String {
        self.0[file].place(offset)
    }

    pub fn place_of(&self, literal: &Literal) -> String {
        self.place(literal.file, literal.start)
    }

    /// All nodes of one kind, with the index of their file.
    pub fn all<N: ast::AstNode + 'static>(&self) -> impl Iterator<Item = (usize, N)> + '_ {
        self.0.iter().enumerate().flat_map(|(file, source)| {
            source.root.syntax().descendants().filter_map(N::cast).map(move |node| (file, node))
        })
    }

    /// `expected … at `file:line`, found …`.
    pub fn failure(&self, expected: &str, refused: &Refused) -> Failure {
        let place = self.place(refused.file, refused.offset);
        Failure::failed(format!("expected {expected} at `{place}`, found {}", refused.found))
    }
}

impl<'a> Survey<'a> {
    /// Finds every call and checks that they agree.
    pub fn take(sources: &'a Sources, scope: &'a Scope) -> Result<Self, Failure> {
        let pythons = python::names(sources);
        let mut survey = Self {
            python: python::agreed(sources, &pythons)?,
            pythons,
            sources,
            scope,
            upstream: Vec::new(),
            pypi: Vec::new(),
            foreign: Vec::new(),
            versions: Vec::new(),
        };
        for (file, call) in sources.all::<ast::Apply>() {
            let function = direct_callee(&call);
            match function.as_deref() {
                Some("fetchFromGitHub") => survey.add_github(file, &call)?,
                Some("fetchPypi") => survey.add_pypi(file, &call)?,
                _ => {}
            }
        }
        survey.add_versions();
        survey.check_agreement()?;
        Ok(survey)
    }

    /// What the files pin. There is at least one call, and all agree: `take` checked.
    pub fn pinned(&self) -> Result<Pinned, Failure> {
        let first = self.first()?;
        let located =
            |literal: &Literal| (self.sources.0[literal.file].path.clone(), self.line(literal));
        let (path, line) = located(first.rev.literals().next().unwrap_or(&first.hash.literal));
        let (rev_file, rev_offset) = first.rev_place;
        let source = &self.sources.0[rev_file];
        let rev = Located {
            value: first.rev.value(),
            path: source.path.clone(),
            line: source.line(rev_offset),
        };
        let hash = |hash: &HashPin| {
            let (path, line) = located(&hash.literal);
            Located { value: hash.value, path, line }
        };
        let mut pypi = BTreeMap::new();
        for call in self.pypi.iter().rev() {
            let (path, line) = located(&call.version);
            let version = Located { value: call.version.text.clone(), path, line };
            pypi.insert(call.name.clone(), PinnedPypi { version, hash: hash(&call.hash) });
        }
        let version = Located { value: first.version.clone(), path, line };
        let python = self.python.clone();
        Ok(Pinned { version, rev, source_hash: hash(&first.hash), pypi, python })
    }

    /// The first fetch of upstream's source.
    pub fn first(&self) -> Result<&SourceCall, Failure> {
        self.upstream.first().ok_or_else(|| {
            let files: Vec<_> =
                self.sources.0.iter().map(|source| format!("`{}`", source.path)).collect();
            Failure::failed(format!(
                "expected a `fetchFromGitHub` of `{}`, found none in {}",
                self.scope.repository(),
                if files.is_empty() { "no files".into() } else { files.join(", ") }
            ))
        })
    }

    fn line(&self, literal: &Literal) -> usize {
        self.sources.0[literal.file].line(literal.start)
    }

    /// Is this literal the version of something that is fetched from elsewhere?
    pub fn is_foreign(&self, literal: &Literal) -> bool {
        self.foreign.iter().any(|call| call.versions.contains(literal))
    }

    fn add_github(&mut self, file: usize, call: &ast::Apply) -> Result<(), Failure> {
        let place = self.sources.place(file, syntax::start(call.syntax()));
        let (args_file, set) = self.arguments(file, call)?;
        let args = Arguments { survey: self, file: args_file, set: &set, place: &place };
        for (name, ours) in [("owner", &self.scope.owner), ("repo", &self.scope.repo)] {
            let text = args.text(name, "a string literal, or a name for one, as", "the call")?;
            if !text.value().eq_ignore_ascii_case(ours) {
                let other = ForeignCall {
                    what: "the source of another repository".into(),
                    versions: args.version_literals(&["rev", "tag"]),
                    place,
                };
                self.foreign.push(other);
                return Ok(());
            }
        }
        let repository = self.scope.repository();
        for name in OTHER_SOURCE {
            args.refuse_unless_off(name, &repository)?;
        }
        let rev_name = args.one_of(["rev", "tag"], &repository)?;
        let rev = args.text(rev_name, "a tag as", &repository)?;
        let rev_place = (args_file, syntax::bindings_of(&set, rev_name)[0]);
        let version = version_of_rev(&rev.value()).map_err(|found| {
            let (file, offset) =
                rev.literals().next().map_or(rev_place, |literal| (literal.file, literal.start));
            self.sources
                .failure(
                    &format!(
                        "a tag that is named after a version as `{rev_name}` of `{repository}`"
                    ),
                    &Refused { file, offset, found },
                )
                .hint("write the tag; the tool pins tags, and looks up what each one holds")
        })?;
        let hash = args.hash(&repository)?;
        self.upstream.push(SourceCall { place, rev, rev_place, version, hash });
        Ok(())
    }

    fn add_pypi(&mut self, file: usize, call: &ast::Apply) -> Result<(), Failure> {
        let place = self.sources.place(file, syntax::start(call.syntax()));
        let (args_file, set) = self.arguments(file, call)?;
        let args = Arguments { survey: self, file: args_file, set: &set, place: &place };
        let pname = args.text("pname", "a string literal, or a name for one, as", "the call")?;
        let name = normalised(&pname.value());
        if !self.scope.packages.contains(&name) {
            let versions = args.version_literals(&["version"]);
            self.foreign.push(ForeignCall { what: format!("`{name}` from PyPI"), versions, place });
            return Ok(());
        }
        let version = args.text("version", "a string literal, or a name for one, as", &name)?;
        let Some(version) = version.literal().cloned() else {
            let found = format!("`{}`, put together from parts", version.value());
            let offset = syntax::bindings_of(&set, "version")[0];
            return Err(self.sources.failure(
                &format!("one whole literal as `version` of `{name}`"),
                &Refused { file: args_file, offset, found },
            ));
        };
        let format = args.optional_text("format", &name)?.map(|text| text.value());
        let is_wheel = format.as_deref() == Some("wheel");
        let hash = args.hash(&name)?;
        self.pypi.push(PypiCall { place, name, version, hash, is_wheel });
        Ok(())
    }

    /// The attribute set that a fetcher is called with, and its file.
    fn arguments(&self, file: usize, call: &ast::Apply) -> Result<(usize, ast::AttrSet), Failure> {
        let expected = "an attribute set with the arguments of the call";
        let code = call
            .argument()
            .map(|expr| Code { file, expr })
            .map(|code| self.sources.reduce(&code))
            .transpose()
            .map_err(|refused| self.sources.failure(expected, &refused))?;
        match code {
            Some(Code { file, expr: Expr::AttrSet(set) }) => {
                for (binding, path) in
                    set.attrpath_values().filter_map(|b| b.attrpath().map(|path| (b, path)))
                {
                    if syntax::keys(Some(path.clone())).is_none() {
                        let offset = syntax::start(binding.syntax());
                        let found =
                            format!("a computed name: {}", syntax::excerpt(&path.to_string()));
                        return Err(self
                            .sources
                            .failure(expected, &Refused { file, offset, found }));
                    }
                }
                Ok((file, set))
            }
            Some(code) => Err(self.sources.failure(expected, &self.sources.refuse(&code))),
            None => Err(Failure::failed(format!("expected {expected}, found none"))),
        }
    }

    /// Collects `version = "…"` bindings that belong to upstream's packages or to nothing else.
    fn add_versions(&mut self) {
        let mut found = Vec::new();
        for (file, binding) in self.sources.all::<ast::AttrpathValue>() {
            let is_version = syntax::keys(binding.attrpath())
                .is_some_and(|keys| keys.last().is_some_and(|key| key == "version"));
            let (true, Some(expr), Some(set)) =
                (is_version, binding.value(), binding.syntax().parent())
            else {
                continue;
            };
            let Expr::Str(string) = syntax::unparenthesised(expr) else { continue };
            let Some(text) = syntax::plain(&string) else { continue };
            let name = ["pname", "name"].iter().find_map(|name| {
                let code = self.sources.attribute(file, &set, name).ok()??;
                Some(self.sources.text(&code).ok()?.value())
            });
            if name.as_ref().is_some_and(|name| !self.scope.owns(name)) {
                continue;
            }
            let literal = Literal { file, start: syntax::content(&string).start, text };
            found.push(VersionBinding { name, literal });
        }
        found.retain(|binding| !self.is_foreign(&binding.literal));
        self.versions = found;
    }

    /// Refuses files that contradict each other: what they pin would depend on who reads them.
    fn check_agreement(&self) -> Result<(), Failure> {
        let first = self.first()?;
        let repository = self.scope.repository();
        for call in &self.upstream[1..] {
            if call.version != first.version {
                let (a, b) = (first.version.to_string(), call.version.to_string());
                return Err(disagreement(
                    "version",
                    &repository,
                    (&a, &first.place),
                    (&b, &call.place),
                ));
            }
            self.check_hashes(&repository, &first.hash, &call.hash)?;
        }
        let version = first.version.to_string();
        for (i, call) in self.pypi.iter().enumerate() {
            let place = self.sources.place_of(&call.version);
            if let Some(other) = self.pypi[..i].iter().find(|other| other.name == call.name) {
                let other_place = self.sources.place_of(&other.version);
                if other.version.text != call.version.text {
                    let (a, b) = (&other.version.text, &call.version.text);
                    return Err(disagreement(
                        "version",
                        &call.name,
                        (a, &other_place),
                        (b, &place),
                    ));
                }
                self.check_hashes(&call.name, &other.hash, &call.hash)?;
            }
            self.check_version(first, &call.name, &call.version)?;
        }
        for binding in &self.versions {
            let fetched = self.pypi.iter().any(|call| call.version == binding.literal);
            let Some(name) = &binding.name else { continue };
            let listed = self.scope.packages.contains(&normalised(name));
            if listed && !fetched && binding.literal.text != version {
                let place = self.sources.place_of(&binding.literal);
                let (a, b) = (&version, &binding.literal.text);
                return Err(disagreement("version", name, (a, &first.place), (b, &place)));
            }
            self.check_version(first, name, &binding.literal)?;
        }
        Ok(())
    }

    fn check_hashes(&self, what: &str, a: &HashPin, b: &HashPin) -> Result<(), Failure> {
        if a.value == b.value {
            return Ok(());
        }
        let places = (self.sources.place_of(&a.literal), self.sources.place_of(&b.literal));
        let values = (a.value.to_string(), b.value.to_string());
        Err(disagreement("hash", what, (&values.0, &places.0), (&values.1, &places.1)))
    }

    /// Packages may be numbered on their own (`0.26.6`), but not by another release of Dagster.
    fn check_version(
        &self,
        first: &SourceCall,
        name: &str,
        found: &Literal,
    ) -> Result<(), Failure> {
        let same_major = |other: &str| {
            other.split('.').next().and_then(|major| major.parse().ok())
                == Some(first.version.major)
        };
        let expected = first.version.to_string();
        if found.text == expected || !same_major(&found.text) {
            return Ok(());
        }
        let place = self.sources.place_of(found);
        Err(disagreement("version", name, (&expected, &first.place), (&found.text, &place)))
    }
}

fn disagreement(attribute: &str, what: &str, first: (&str, &str), second: (&str, &str)) -> Failure {
    Failure::failed(format!(
        "expected one {attribute} of `{what}`, found `{}` at `{}` and `{}` at `{}`",
        first.0, first.1, second.0, second.1
    ))
    .hint("make both say the same; the tool does not guess which one is meant")
}

/// The callee's name if this is the innermost call: `f` for `f {…}`, none for `f {…} x`.
fn direct_callee(call: &ast::Apply) -> Option<String> {
    match syntax::unparenthesised(call.lambda()?) {
        Expr::Apply(_) => None,
        _ => syntax::callee(call),
    }
}

/// The version that a `rev` names, or what the `rev` is instead.
fn version_of_rev(rev: &str) -> Result<Version, String> {
    let tag = rev.strip_prefix(TAG_PREFIX).unwrap_or(rev);
    let is_commit = tag.len() == 40 && tag.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_commit {
        return Err(format!("the commit `{tag}`"));
    }
    Version::parse(tag.strip_prefix('v').unwrap_or(tag)).map_err(|_| format!("`{rev}`"))
}

/// The arguments of one call.
struct Arguments<'s, 'a> {
    survey: &'s Survey<'a>,
    file: usize,
    set: &'s ast::AttrSet,
    place: &'s str,
}

impl Arguments<'_, '_> {
    fn sources(&self) -> &Sources {
        self.survey.sources
    }

    fn get(&self, name: &str, what: &str) -> Result<Option<Code>, Failure> {
        self.refuse_two(&[name], what)?;
        self.sources()
            .attribute(self.file, self.set.syntax(), name)
            .map_err(|refused| self.sources().failure(&format!("`{name}` of `{what}`"), &refused))
    }

    fn text(&self, name: &str, expected: &str, what: &str) -> Result<Text, Failure> {
        let code = self.get(name, what)?.ok_or_else(|| self.missing(&format!("`{name}`"), what))?;
        self.sources().text(&code).map_err(|refused| {
            self.sources().failure(&format!("{expected} `{name}` of {}", quoted(what)), &refused)
        })
    }

    fn optional_text(&self, name: &str, what: &str) -> Result<Option<Text>, Failure> {
        match self.get(name, what)? {
            Some(_) => self.text(name, "a string literal as", what).map(Some),
            None => Ok(None),
        }
    }

    fn missing(&self, name: &str, what: &str) -> Failure {
        Failure::failed(format!(
            "expected {name} for {} at `{}`, found none",
            quoted(what),
            self.place
        ))
    }

    fn refuse_two(&self, names: &[&str], what: &str) -> Result<(), Failure> {
        let mut offsets: Vec<usize> =
            names.iter().flat_map(|name| syntax::bindings_of(self.set, name)).collect();
        offsets.sort_unstable();
        let source = &self.sources().0[self.file];
        let lines: Vec<String> =
            offsets.iter().map(|&offset| source.line(offset).to_string()).collect();
        let Some((last, others)) = lines.split_last().filter(|(_, others)| !others.is_empty())
        else {
            return Ok(());
        };
        Err(Failure::failed(format!(
            "expected one `{}` for {} in `{}`, found {} (lines {} and {last})",
            names.join("` or `"),
            quoted(what),
            source.path,
            lines.len(),
            others.join(", "),
        ))
        .hint("keep one; the tool does not guess which source gets built"))
    }

    /// Which of two names for the same argument is given.
    fn one_of<'n>(&self, names: [&'n str; 2], what: &str) -> Result<&'n str, Failure> {
        self.refuse_two(&names, what)?;
        names
            .into_iter()
            .find(|name| !syntax::bindings_of(self.set, name).is_empty())
            .ok_or_else(|| self.missing(&format!("`{}` or `{}`", names[0], names[1]), what))
    }

    fn hash(&self, what: &str) -> Result<HashPin, Failure> {
        let name = self.one_of(["hash", "sha256"], what)?;
        let expected = "a SHA-256 hash, written as a literal, as";
        let text = self.text(name, expected, what)?;
        let offset = syntax::bindings_of(self.set, name)[0];
        let refused = |found: String| {
            let (file, offset) = text
                .literals()
                .next()
                .map_or((self.file, offset), |literal| (literal.file, literal.start));
            self.sources().failure(
                &format!("{expected} `{name}` of `{what}`"),
                &Refused { file, offset, found },
            )
        };
        let Some(literal) = text.literal().cloned() else {
            return Err(refused(format!("`{}`, put together from parts", text.value())));
        };
        match parse_hash(&literal.text) {
            Some(value) => Ok(HashPin { literal, value }),
            None if literal.text.is_empty() => Err(refused("an empty string".into())),
            None => Err(refused(format!("`{}`", literal.text))),
        }
    }

    /// The literals that the version of something else is made of.
    fn version_literals(&self, names: &[&str]) -> Vec<Literal> {
        names
            .iter()
            .filter_map(|name| {
                let code = self.sources().attribute(self.file, self.set.syntax(), name).ok()??;
                Some(self.sources().text(&code).ok()?.0)
            })
            .flatten()
            .filter_map(|piece| match piece {
                Piece::Literal(literal) => Some(literal),
                Piece::Fixed(_) => None,
            })
            .collect()
    }

    fn refuse_unless_off(&self, name: &str, what: &str) -> Result<(), Failure> {
        let Some(code) = self.get(name, what)? else { return Ok(()) };
        let text = code.expr.syntax().text().to_string();
        if text == "false" || text.split_whitespace().collect::<String>() == "[]" {
            return Ok(());
        }
        let expected = format!("the plain archive of a tag of `{what}`");
        let offset = syntax::start(code.expr.syntax());
        let found = format!("`{name}`, which changes what the hash is of");
        Err(self.sources().failure(&expected, &Refused { file: code.file, offset, found }))
    }
}

fn quoted(what: &str) -> String {
    if what.contains(' ') { what.to_owned() } else { format!("`{what}`") }
}

/// Reads a SHA-256 hash in any of the spellings that Nix takes.
fn parse_hash(text: &str) -> Option<Sri> {
    if let Ok(sri) = text.parse() {
        return Some(sri);
    }
    let bare = text.strip_prefix("sha256:").unwrap_or(text);
    Sri::from_hex(bare).ok().or_else(|| from_nix_base32(bare))
}

/// Nix's base-32: 52 digits without e, o, u and t, the last of which holds the lowest bits.
fn from_nix_base32(text: &str) -> Option<Sri> {
    const DIGITS: &[u8] = b"0123456789abcdfghijklmnpqrsvwxyz";
    if text.len() != 52 {
        return None;
    }
    let mut digest = [0_u8; 32];
    for (i, byte) in text.bytes().rev().enumerate() {
        let digit = DIGITS.iter().position(|&digit| digit == byte)?;
        let (at, shift) = (i * 5 / 8, i * 5 % 8);
        let bits = u16::try_from(digit).ok()? << shift;
        let [low, high] = bits.to_le_bytes();
        digest[at] |= low;
        match digest.get_mut(at + 1) {
            Some(next) => *next |= high,
            None if high == 0 => {}
            None => return None,
        }
    }
    Some(Sri::from_digest(digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One digest in the spellings that `nix-hash --to-base32` and `--to-sri` give it.
    #[test]
    fn hashes_are_read_in_every_spelling() {
        let sri = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        for text in [
            sri,
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73",
            "sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73",
        ] {
            assert_eq!(
                parse_hash(text).map(|hash| hash.to_string()).as_deref(),
                Some(sri),
                "{text}"
            );
        }
        for text in ["", "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c7", &"z".repeat(52)] {
            assert!(parse_hash(text).is_none(), "{text}");
        }
    }

    #[test]
    fn only_tags_named_after_versions_are_revs() {
        for (rev, expected) in [
            ("1.12.1", Ok("1.12.1")),
            ("v1.12.1", Ok("1.12.1")),
            ("refs/tags/1.12.1", Ok("1.12.1")),
            ("main", Err("`main`")),
            ("refs/heads/1.12.1", Err("`refs/heads/1.12.1`")),
            (
                "8e2d4f6a1b3c5d7e9f0a2b4c6d8e0f1a3b5c7d9e",
                Err("the commit `8e2d4f6a1b3c5d7e9f0a2b4c6d8e0f1a3b5c7d9e`"),
            ),
        ] {
            let found = version_of_rev(rev).map(|version| version.to_string());
            assert_eq!(found.as_deref().map_err(String::as_str), expected);
        }
    }
}

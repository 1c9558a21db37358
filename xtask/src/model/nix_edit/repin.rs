//! The edit: which literal says what from now on, and the checks that nothing stale stays.
//!
//! A literal is assigned its new text by every call and binding that depends on it; if two want
//! different texts, the edit is refused. What is returned was read back and says what was asked.

use std::collections::BTreeMap;

use rnix::ast;
use rnix::{NodeOrToken, SyntaxKind};
use rowan::ast::AstNode as _;

use super::file::{NixFile, Scope};
use super::pins::Pins;
use super::scope::Piece;
use super::sources::{Literal, Sources};
use super::survey::{HashPin, PypiCall, SourceCall, Survey, TAG_PREFIX};
use super::{derived, python, syntax};
use crate::failure::Failure;
use crate::model::config::is_python;
use crate::model::facts::{PypiPin, is_commit};
use crate::model::sri::Sri;

/// Functions that compare versions: their literals are thresholds, not pins.
const COMPARISONS: [&str; 3] = ["compareVersions", "versionAtLeast", "versionOlder"];

pub(super) fn repin(
    files: &[NixFile],
    scope: &Scope,
    pins: &Pins,
) -> Result<Vec<NixFile>, Failure> {
    check_pins(pins)?;
    let sources = Sources::parse(files)?;
    let survey = Survey::take(&sources, scope)?;
    let old = survey.first()?.version.to_string();
    let mut edit =
        Edit { survey: &survey, old, new: pins.version.to_string(), texts: BTreeMap::new() };
    for call in &survey.upstream {
        edit.set_source(call, pins)?;
    }
    for call in &survey.pypi {
        edit.set_pypi(call, &pins.pypi)?;
    }
    edit.set_versions()?;
    edit.set_names()?;
    edit.set_python(&pins.python)?;
    edit.check_foreign()?;
    edit.check_derived()?;
    edit.check_nothing_left()?;
    let edited = edit.apply();
    check_result(&edited, scope, pins)?;
    Ok(edited)
}

/// Only characters that mean themselves in a Nix string may be written into one.
fn check_pins(pins: &Pins) -> Result<(), Failure> {
    let version = pins.version.to_string();
    if pins.tag != version && pins.tag != format!("v{version}") {
        return Err(Failure::failed(format!(
            "expected the tag of {version} to be `{version}` or `v{version}`, found `{}`",
            pins.tag
        )));
    }
    if !is_commit(&pins.commit) {
        return Err(Failure::failed(format!(
            "expected the commit of `{}` as 40 hexadecimal digits, found `{}`",
            pins.tag, pins.commit
        )));
    }
    if !is_python(&pins.python) {
        return Err(Failure::failed(format!(
            "expected a Python as `3.13`, found `{}`",
            pins.python
        )));
    }
    for pin in &pins.pypi {
        let is_version = |byte: u8| byte.is_ascii_alphanumeric() || b".+-!_".contains(&byte);
        if pin.version.is_empty() || !pin.version.bytes().all(is_version) {
            return Err(Failure::failed(format!(
                "expected a version of `{}` made of letters, digits and `.+-!_`, found `{}`",
                pin.name, pin.version
            )));
        }
    }
    Ok(())
}

/// Reads the edited files back: they must say what was asked for.
fn check_result(edited: &[NixFile], scope: &Scope, pins: &Pins) -> Result<(), Failure> {
    let sources = Sources::parse(edited)?;
    let found = Survey::take(&sources, scope)?.pinned()?;
    let tag = found.rev.value.strip_prefix(TAG_PREFIX).unwrap_or(&found.rev.value);
    let as_pinned = found.version.value == pins.version
        && (tag == pins.tag || found.rev.value == pins.commit)
        && found.source_hash.value == pins.source_hash
        && found.python.as_ref().is_none_or(|python| python.value == pins.python)
        && found.pypi.iter().all(|(name, pypi)| {
            pins.pypi.iter().any(|pin| {
                pin.name == *name
                    && pin.version == pypi.version.value
                    && pin.hash == pypi.hash.value
            })
        });
    if as_pinned {
        return Ok(());
    }
    Err(Failure::failed(format!(
        "expected the edited files to pin {} with `{}`, found {} with `{}`",
        pins.version, pins.source_hash, found.version.value, found.source_hash.value
    )))
}

struct Edit<'a> {
    survey: &'a Survey<'a>,
    old: String,
    new: String,
    texts: BTreeMap<Literal, String>,
}

impl Edit<'_> {
    fn sources(&self) -> &Sources {
        self.survey.sources
    }

    /// Says what a literal must be from now on.
    fn set(&mut self, literal: &Literal, text: String) -> Result<(), Failure> {
        match self.texts.get(literal) {
            Some(other) if *other != text => Err(Failure::failed(format!(
                "expected one new value for `{}` at `{}`, found `{other}` and `{text}`",
                literal.text,
                self.sources().place_of(literal)
            ))
            .hint("write the two values apart; one literal cannot say both")),
            _ => {
                self.texts.insert(literal.clone(), text);
                Ok(())
            }
        }
    }

    fn set_source(&mut self, call: &SourceCall, pins: &Pins) -> Result<(), Failure> {
        let what = self.survey.scope.repository();
        if call.version != pins.version && call.hash.value == pins.source_hash {
            return Err(self.stale(&what, &call.version.to_string(), &self.new, &call.hash));
        }
        if let Some(version) = &call.version_of_commit {
            self.set(version, self.new.clone())?;
            let commit = call.rev.literal().expect("a commit is one literal");
            self.set(commit, pins.commit.clone())?;
            return self.set(&call.hash.literal, spelled(&call.hash, pins.source_hash));
        }
        if let (Some(binding), Some(version)) = (&call.tag_that_follows, call.rev.literal())
            && pins.by_commit
            && call.version != pins.version
        {
            self.set(version, self.new.clone())?;
            self.set(binding, format!("rev = \"{}\"", pins.commit))?;
            return self.set(&call.hash.literal, spelled(&call.hash, pins.source_hash));
        }
        let prefix = if call.rev.value().starts_with(TAG_PREFIX) { TAG_PREFIX } else { "" };
        let rev = format!("{prefix}{}", pins.tag);
        match call.rev.0.as_slice() {
            [Piece::Literal(literal)] => self.set(literal, rev)?,
            [Piece::Fixed(fixed), Piece::Literal(literal)] if literal.text == self.old => {
                let follows = format!("{fixed}{}", self.new);
                if follows != rev {
                    let (file, offset) = call.rev_place;
                    return Err(Failure::failed(format!(
                        "expected a `rev` that follows the version to `{rev}` at `{}`, found one \
                         that follows it to `{follows}`",
                        self.sources().place(file, offset)
                    )));
                }
                self.set(literal, self.new.clone())?;
            }
            _ => {
                let (file, offset) = call.rev_place;
                return Err(Failure::failed(format!(
                    "expected the tag, or a prefix and the version, as `rev` of `{what}` at `{}`, \
                     found `{}`, put together from other parts",
                    self.sources().place(file, offset),
                    call.rev.value()
                )));
            }
        }
        self.set(&call.hash.literal, spelled(&call.hash, pins.source_hash))
    }

    fn set_pypi(&mut self, call: &PypiCall, fetched: &[PypiPin]) -> Result<(), Failure> {
        let Some(pin) = fetched.iter().find(|pin| pin.name == call.name) else {
            return Err(Failure::failed(format!(
                "expected no `fetchPypi` of `{}`, which has no pin, found one at `{}`",
                call.name, call.place
            ))
            .hint(format!(
                "set `fetch` for `{}` in `release.toml`, or build it from the source",
                call.name
            )));
        };
        let Some(wheel) = &call.wheel else {
            return Err(Failure::failed(format!(
                "expected `format = \"wheel\"` for `{}` at `{}`, found a fetch of another file",
                call.name, call.place
            ))
            .hint(
                "write `format = \"wheel\"; dist = \"py3\"; python = \"py3\";`: of an sdist \
                 neither the name nor the web UI can be relied on",
            ));
        };
        let file = wheel.file(&pin.version);
        if let Some(found) = pin.file.as_ref().filter(|found| **found != file) {
            return Err(Failure::failed(format!(
                "the `fetchPypi` of `{}` at `{}` would fetch `{file}`, and pip found `{found}`: \
                 the hash is of that one",
                call.name, call.place
            ))
            .hint(
                "`pname`, `python`, `abi` and `platform` make the name. A build tag (`-1-`) has no \
                 place in it, and a file of another index than PyPI is not what Nix fetches",
            ));
        }
        if call.version.text != pin.version && call.hash.value == pin.hash {
            return Err(self.stale(&call.name, &call.version.text, &pin.version, &call.hash));
        }
        self.set(&call.version, pin.version.clone())?;
        self.set(&call.hash.literal, spelled(&call.hash, pin.hash))
    }

    fn stale(&self, what: &str, old: &str, new: &str, hash: &HashPin) -> Failure {
        Failure::failed(format!(
            "expected another hash of `{what}` for {new} than for {old}, found `{}` for both at \
             `{}`",
            hash.value,
            self.sources().place_of(&hash.literal)
        ))
        .hint(format!(
            "Nix finds what it fetched by its hash, not by its `rev` or version: with this hash \
             the source of {old} would be built again and called {new}"
        ))
    }

    /// `version = "OLD"` that nothing fetched depends on.
    fn set_versions(&mut self) -> Result<(), Failure> {
        for binding in &self.survey.versions {
            if binding.literal.text == self.old && !self.texts.contains_key(&binding.literal) {
                self.set(&binding.literal, self.new.clone())?;
            }
        }
        Ok(())
    }

    /// `name = "dagster-complete-OLD"`, and the name that `runCommand` is given.
    fn set_names(&mut self) -> Result<(), Failure> {
        let mut found = Vec::new();
        for (file, string) in self.sources().all::<ast::Str>() {
            let Some(text) = syntax::plain(&string) else { continue };
            let Some(name) = text.strip_suffix(&self.old).and_then(|rest| rest.strip_suffix('-'))
            else {
                continue;
            };
            if self.survey.scope.owns(name) && is_derivation_name(&string) {
                let new = format!("{name}-{}", self.new);
                found.push((Literal { file, start: syntax::content(&string).start, text }, new));
            }
        }
        found.into_iter().try_for_each(|(literal, new)| self.set(&literal, new))
    }

    /// `python312` and its like, in every file.
    fn set_python(&mut self, new: &str) -> Result<(), Failure> {
        let survey = self.survey;
        let Some(old) = survey.pythons.first().map(|name| &name.version) else { return Ok(()) };
        if old == new {
            return Ok(());
        }
        python::check_nothing_left(survey.sources, old)?;
        survey.pythons.iter().try_for_each(|name| self.set(&name.literal, name.of(new)))
    }

    /// Is this literal's text about to be another one?
    fn changes(&self, literal: &Literal) -> bool {
        self.texts.get(literal).is_some_and(|text| *text != literal.text)
    }

    /// A fetch of something else must not follow our version: its hash would stay.
    fn check_foreign(&self) -> Result<(), Failure> {
        for call in &self.survey.foreign {
            if let Some(literal) = call.versions.iter().find(|literal| self.changes(literal)) {
                return Err(Failure::failed(format!(
                    "expected {} at `{}` to have its own version, found that of `{}` from `{}`",
                    call.what,
                    call.place,
                    self.survey.scope.repository(),
                    self.sources().place_of(literal)
                ))
                .hint("its version would change and its hash would not"));
            }
        }
        Ok(())
    }

    /// What is made from the source must not have a hash: that would stay.
    fn check_derived(&self) -> Result<(), Failure> {
        let changes = derived::Changes {
            is_managed: &|literal| self.texts.contains_key(literal),
            changes: &|literal| self.changes(literal),
        };
        let Some(stale) = derived::find(self.sources(), &changes) else { return Ok(()) };
        Err(Failure::failed(format!(
            "expected only hashes that the tool knows of what changes, found `{}` at `{}`, of what \
             is made from `{}`",
            stale.name, stale.place, stale.follows
        ))
        .hint(
            "the old one would be built again: make it from something with a version of its own, \
             or keep it in a file that is not bumped",
        ))
    }

    /// The old version must not stand anywhere in the code that stays.
    fn check_nothing_left(&self) -> Result<(), Failure> {
        if self.old == self.new {
            return Ok(());
        }
        for (file, source) in self.sources().0.iter().enumerate() {
            let tokens =
                source.root.syntax().descendants_with_tokens().filter_map(
                    |element| match element {
                        NodeOrToken::Token(token) => Some(token),
                        NodeOrToken::Node(_) => None,
                    },
                );
            for token in tokens.filter(|token| !token.kind().is_trivia()) {
                let start = usize::from(token.text_range().start());
                let Some(at) = find_version(token.text(), &self.old) else { continue };
                let literal = Literal { file, start, text: token.text().to_owned() };
                let known = self.texts.contains_key(&literal) || self.survey.is_foreign(&literal);
                if known || is_threshold(&token) {
                    continue;
                }
                let line = token.text()[..at].rfind('\n').map_or(0, |newline| newline + 1);
                let code = token.text()[line..].lines().next().unwrap_or_default();
                return Err(Failure::failed(format!(
                    "expected no `{}` in the code after the edit, found {} at `{}`",
                    self.old,
                    syntax::excerpt(code),
                    source.place(start + at)
                ))
                .hint("refer to the version instead (`${version}`)"));
            }
        }
        Ok(())
    }

    fn apply(&self) -> Vec<NixFile> {
        let edit = |(file, source): (usize, &syntax::Source)| {
            let mut text = source.text.clone();
            // From the end, so that the offsets of what is still to come stay right.
            for (literal, new) in
                self.texts.iter().rev().filter(|(literal, _)| literal.file == file)
            {
                text.replace_range(literal.start..literal.start + literal.text.len(), new);
            }
            NixFile { path: source.path.clone(), text: format!("{}{text}", source.bom) }
        };
        self.sources().0.iter().enumerate().map(edit).collect()
    }
}

/// A hash that already says the right thing stays in its spelling.
fn spelled(hash: &HashPin, new: Sri) -> String {
    match hash.is_string {
        true if hash.value == new => hash.literal.text.clone(),
        true => new.to_string(),
        false => format!("\"{new}\""),
    }
}

/// Is this string the value of `name`, or the first argument of `runCommand`?
fn is_derivation_name(string: &ast::Str) -> bool {
    let Some(parent) = string.syntax().parent() else { return false };
    if let Some(binding) = ast::AttrpathValue::cast(parent.clone()) {
        return syntax::keys(binding.attrpath())
            .is_some_and(|keys| keys.last().is_some_and(|key| key == "name"));
    }
    ast::Apply::cast(parent)
        .and_then(|call| syntax::callee(&call))
        .is_some_and(|callee| callee.starts_with("runCommand"))
}

/// Is this token a string given to a comparison of versions?
fn is_threshold(token: &rnix::SyntaxToken) -> bool {
    let mut node = token.parent();
    if node.as_ref().is_none_or(|node| node.kind() != SyntaxKind::NODE_STRING) {
        return false;
    }
    while let Some(parent) = node.as_ref().and_then(rnix::SyntaxNode::parent) {
        if parent.kind() != SyntaxKind::NODE_PAREN {
            return ast::Apply::cast(parent)
                .and_then(|call| syntax::callee(&call))
                .is_some_and(|callee| COMPARISONS.contains(&callee.as_str()));
        }
        node = Some(parent);
    }
    false
}

/// Finds a version as a whole: `1.12.1` is not in `1.12.10`, `21.12.1`, `0.1.12.1` or `1.12.1rc1`.
fn find_version(text: &str, version: &str) -> Option<usize> {
    text.match_indices(version).map(|(at, _)| at).find(|&at| {
        let before = &text.as_bytes()[..at];
        let after = &text.as_bytes()[at + version.len()..];
        let digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_digit);
        let inside_left = digit(before.last())
            || (before.last() == Some(&b'.') && digit(before.iter().rev().nth(1)));
        let inside_right = after.first().is_some_and(u8::is_ascii_alphanumeric)
            || (after.first() == Some(&b'.') && digit(after.get(1)));
        !inside_left && !inside_right
    })
}

#[cfg(test)]
mod tests {
    use super::find_version;

    #[test]
    fn versions_are_found_whole() {
        for text in ["1.12.1", "v1.12.1", "dagster-1.12.1.tar.gz", "1.12.10 1.12.1", "x 1.12.1-py3"]
        {
            assert!(find_version(text, "1.12.1").is_some(), "{text}");
        }
        for text in ["1.12.10", "21.12.1", "0.1.12.1", "1.12.1.2", "1.12.1rc1", "1,12,1"] {
            assert!(find_version(text, "1.12.1").is_none(), "{text}");
        }
    }
}

//! Which Python the files name, and naming another one.
//!
//! ```text
//! name = "python3" digits [ suffix ]      python312, python312Packages, pkgs.python312.pkgs
//! ```
//!
//! Names are found wherever code has one: as argument, reference, attribute, or inside `${…}`. All
//! of them say one version, so the edit gives every one the new digits; nothing else changes, and
//! no name can come to mean what another was bound to. Text that says a version
//! (`"lib/python3.12"`) would be left behind by that and is refused. Comments may say it.

use rnix::{NodeOrToken, SyntaxKind, SyntaxToken};
use rowan::ast::AstNode as _;

use super::sources::{Literal, Sources};
use super::syntax;
use crate::failure::Failure;
use crate::model::located::Located;

/// A name of one of nixpkgs' Pythons.
#[derive(Debug)]
pub(super) struct Name {
    pub literal: Literal,
    /// As `3.12`.
    pub version: String,
    suffix: String,
}

impl Name {
    fn read(literal: Literal) -> Option<Self> {
        let rest = literal.text.strip_prefix("python3")?;
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (minor, suffix) = rest.split_at(end);
        let (version, suffix) = (format!("3.{minor}"), suffix.to_owned());
        (!minor.is_empty()).then_some(Self { literal, version, suffix })
    }

    /// The name of the same thing of another Python, as `3.13`.
    pub fn of(&self, version: &str) -> String {
        format!("{}{}", attribute(version), self.suffix)
    }

    /// The version, and where it is said.
    pub fn located(&self, sources: &Sources) -> Located<String> {
        let source = &sources.0[self.literal.file];
        let line = source.line(self.literal.start);
        Located { value: self.version.clone(), path: source.path.clone(), line }
    }
}

/// The attribute of a Python, as `3.12`.
fn attribute(version: &str) -> String {
    format!("python{}", version.replace('.', ""))
}

/// Every name of a Python of a version.
pub(super) fn names(sources: &Sources) -> Vec<Name> {
    identifiers(sources).filter_map(Name::read).collect()
}

/// The first name in a file of the Python that nixpkgs takes where no version is said.
pub(super) fn unversioned(sources: &Sources, file: usize) -> Option<Literal> {
    let is_it = |literal: &Literal| matches!(literal.text.as_str(), "python3" | "python3Packages");
    identifiers(sources).find(|literal| literal.file == file && is_it(literal))
}

/// The one Python that is named.
///
/// # Errors
/// For two.
pub(super) fn agreed(
    sources: &Sources,
    names: &[Name],
) -> Result<Option<Located<String>>, Failure> {
    let Some(first) = names.first() else { return Ok(None) };
    if let Some(other) = names.iter().find(|name| name.version != first.version) {
        return Err(Failure::failed(format!(
            "expected one Python, found `{}` at `{}` and `{}` at `{}`",
            first.literal.text,
            sources.place_of(&first.literal),
            other.literal.text,
            sources.place_of(&other.literal)
        ))
        .hint("make both the same; the tool does not guess which one is meant"));
    }
    Ok(Some(first.located(sources)))
}

/// Refuses text that says a version of Python and would go on saying it.
pub(super) fn check_nothing_left(sources: &Sources, version: &str) -> Result<(), Failure> {
    let written = Written::of(version);
    for (file, source) in sources.0.iter().enumerate() {
        for token in tokens(sources, file) {
            let is_text = matches!(
                token.kind(),
                SyntaxKind::TOKEN_STRING_CONTENT
                    | SyntaxKind::TOKEN_PATH_ABS
                    | SyntaxKind::TOKEN_PATH_REL
                    | SyntaxKind::TOKEN_PATH_HOME
                    | SyntaxKind::TOKEN_PATH_SEARCH
            );
            let Some(at) = is_text.then(|| written.find(token.text())).flatten() else { continue };
            let line = token.text()[..at].rfind('\n').map_or(0, |newline| newline + 1);
            let code = token.text()[line..].lines().next().unwrap_or_default();
            let start = usize::from(token.text_range().start());
            return Err(Failure::failed(format!(
                "expected no Python {version} written out in the code after the edit, found {} at \
                 `{}`",
                syntax::excerpt(code),
                source.place(start + at)
            ))
            .hint(
                "refer to the Python instead: `${python.sitePackages}`, `${python.libPrefix}`, \
                 `${python.executable}`",
            ));
        }
    }
    Ok(())
}

/// The ways in which file names and attributes say a version of Python.
struct Written([String; 4]);

impl Written {
    fn of(version: &str) -> Self {
        let digits = version.replace('.', "");
        Self([
            format!("python{version}"),
            attribute(version),
            format!("cpython-{digits}"),
            format!("cp{digits}"),
        ])
    }

    fn find(&self, text: &str) -> Option<usize> {
        let is_whole = |at: usize, len: usize| {
            let before = text[..at].chars().next_back();
            let after = text[at + len..].chars().next();
            !before.is_some_and(char::is_alphanumeric)
                && !after.is_some_and(|after| after.is_ascii_digit())
        };
        let found = |word: &String| {
            text.match_indices(word).map(|(at, _)| at).find(|&at| is_whole(at, word.len()))
        };
        self.0.iter().filter_map(found).min()
    }
}

fn identifiers(sources: &Sources) -> impl Iterator<Item = Literal> + '_ {
    (0..sources.0.len()).flat_map(move |file| {
        tokens(sources, file).filter(|token| token.kind() == SyntaxKind::TOKEN_IDENT).map(
            move |token| Literal {
                file,
                start: usize::from(token.text_range().start()),
                text: token.text().to_owned(),
            },
        )
    })
}

fn tokens(sources: &Sources, file: usize) -> impl Iterator<Item = SyntaxToken> + use<> {
    sources.0[file].root.syntax().descendants_with_tokens().filter_map(|element| match element {
        NodeOrToken::Token(token) => Some(token),
        NodeOrToken::Node(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_a_version() {
        let read = |text: &str| {
            let name = Name::read(Literal { file: 0, start: 0, text: text.to_owned() })?;
            Some((name.version.clone(), name.of("3.13")))
        };
        for (text, version, other) in [
            ("python312", "3.12", "python313"),
            ("python312Packages", "3.12", "python313Packages"),
            ("python39", "3.9", "python313"),
            ("python312Full", "3.12", "python313Full"),
        ] {
            assert_eq!(read(text), Some((version.to_owned(), other.to_owned())), "{text}");
        }
        for text in ["python", "python3", "python3Packages", "antlr4-python3-runtime", "python27"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn versions_are_found_in_file_names() {
        let find = |text: &str| Written::of("3.12").find(text).is_some();
        for text in ["lib/python3.12", "$out/bin/python3.12 -m", "x.cpython-312.so", "cp312-cp312"]
        {
            assert!(find(text), "{text}");
        }
        for text in ["python3.1", "python3.120", "ipython3.12", "1.3.12", "python3", "scp312"] {
            assert!(!find(text), "{text}");
        }
    }
}

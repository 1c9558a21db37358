//! The calls that pin something, and what each pins now. Whether they agree is for `agreement`.

use rnix::ast::{self, Expr, HasEntry as _};
use rowan::ast::AstNode as _;
use semver::Version;

use super::file::Scope;
use super::hash::{FAKES, parse_hash};
use super::python;
use super::scope::{Piece, Refused, Text};
use super::sources::{Code, Literal, Sources};
use super::syntax;
use crate::failure::Failure;
use crate::model::facts::is_commit;
use crate::model::located::Located;
use crate::model::requirement::normalised;
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

/// A hash as it is written.
pub(super) struct HashPin {
    /// For `lib.fakeHash` that itself, to be replaced by a string.
    pub literal: Literal,
    pub value: Sri,
    pub is_string: bool,
}

/// A `fetchFromGitHub` of upstream's repository.
pub(super) struct SourceCall {
    pub place: String,
    pub rev: Text,
    pub rev_place: (usize, usize),
    /// `tag = version`, where it is written so: what names the version stands elsewhere.
    pub tag_that_follows: Option<Literal>,
    pub version: Version,
    /// Where the version is written that a commit as `rev` is of.
    pub version_of_commit: Option<Literal>,
    pub hash: HashPin,
}

/// A `fetchPypi` of one of upstream's packages.
pub(super) struct PypiCall {
    pub place: String,
    pub name: String,
    pub version: Literal,
    pub hash: HashPin,
    pub wheel: Option<WheelCall>,
}

/// What a fetch of a wheel makes the name of the file of, beside the version.
pub(super) struct WheelCall {
    pub pname: String,
    pub python: String,
    pub abi: String,
    pub platform: String,
}

impl WheelCall {
    /// The file's name, as nixpkgs' `fetchPypi` makes it. It knows no build tag.
    pub fn file(&self, version: &str) -> String {
        let Self { pname, python, abi, platform } = self;
        format!("{pname}-{version}-{python}-{abi}-{platform}.whl")
    }
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

/// Every call that was found, and the versions and Pythons beside them.
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
    pub python: Option<Located<String>>,
}

impl<'a> Survey<'a> {
    /// Finds every call. [`Self::take`] checks that they agree, too.
    pub fn find(sources: &'a Sources, scope: &'a Scope) -> Result<Self, Failure> {
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
        Ok(survey)
    }

    /// The version that is written nearest to a call: in a `let` or set around it, or in what its
    /// result is extended by. A commit does not say what it is the commit of.
    fn version_beside(&self, file: usize, call: &ast::Apply) -> Result<Text, Failure> {
        let expected = format!(
            "a `version` beside the commit of `{}`, one whole literal,",
            self.scope.repository()
        );
        for node in call.syntax().ancestors().skip(1) {
            let scope = match Expr::cast(node) {
                Some(Expr::BinOp(update)) => update.rhs().map(syntax::unparenthesised),
                other => other,
            };
            let Some(scope @ (Expr::AttrSet(_) | Expr::LetIn(_))) = scope else { continue };
            let found = self.sources.attribute(file, scope.syntax(), "version");
            let Some(code) = found.map_err(|refused| self.sources.failure(&expected, &refused))?
            else {
                continue;
            };
            let text = self.sources.text(&code);
            return text.map_err(|refused| self.sources.failure(&expected, &refused));
        }
        let file_and_offset = (file, syntax::start(call.syntax()));
        self.only_version().ok_or_else(|| {
            let (file, offset) = file_and_offset;
            let found = "none there, and not one in all files".to_owned();
            self.sources
                .failure(&expected, &Refused { file, offset, found })
                .hint("write `version = \"…\"` beside it; a commit does not say its version")
        })
    }

    /// The one literal that every package of upstream's has its version from.
    fn only_version(&self) -> Option<Text> {
        let bindings = self.version_bindings();
        let mut named = bindings.into_iter().filter(|binding| binding.name.is_some());
        let first = named.next()?.literal;
        named
            .all(|other| other.literal.text == first.text)
            .then(|| Text(vec![Piece::Literal(first)]))
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
        let hash = args.hash(&repository)?;
        if is_commit(&rev.value()) {
            let literal = rev.literal().cloned();
            let version = self.version_beside(file, call)?.literal().cloned();
            let parsed = version.as_ref().and_then(|version| Version::parse(&version.text).ok());
            let (Some(_), Some(literal), Some(version)) = (literal, version, parsed) else {
                let (file, offset) = rev_place;
                let found = "a commit or a version that is put together from parts".to_owned();
                let expected = format!("one whole commit of `{repository}` and its version");
                return Err(self.sources.failure(&expected, &Refused { file, offset, found }));
            };
            self.upstream.push(SourceCall {
                place,
                rev,
                rev_place,
                tag_that_follows: None,
                version,
                version_of_commit: Some(literal),
                hash,
            });
            return Ok(());
        }
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
                .hint("write a tag, or the commit of one; the tool looks up what each one holds")
        })?;
        let tag_that_follows = tag_that_follows(args_file, &set, rev_name, &rev);
        self.upstream.push(SourceCall {
            place,
            rev,
            rev_place,
            tag_that_follows,
            version,
            version_of_commit: None,
            hash,
        });
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
        let wheel = if format.as_deref() == Some("wheel") {
            let part = |name_of: &str, default: &str| -> Result<String, Failure> {
                let text = args.optional_text(name_of, &name)?;
                Ok(text.map_or_else(|| default.to_owned(), |text| text.value()))
            };
            // The defaults are those of nixpkgs' `fetchPypi`.
            let (python, abi) = (part("python", "py2.py3")?, part("abi", "none")?);
            let platform = part("platform", "any")?;
            Some(WheelCall { pname: pname.value(), python, abi, platform })
        } else {
            None
        };
        let hash = args.hash(&name)?;
        self.pypi.push(PypiCall { place, name, version, hash, wheel });
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
        let mut found = self.version_bindings();
        found.retain(|binding| !self.is_foreign(&binding.literal));
        self.versions = found;
    }

    fn version_bindings(&self) -> Vec<VersionBinding> {
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
        found
    }
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
    Version::parse(tag.strip_prefix('v').unwrap_or(tag)).map_err(|_| format!("`{rev}`"))
}

/// The binding of a `tag` or `rev` that is a name for a version written elsewhere, without its `;`.
fn tag_that_follows(file: usize, set: &ast::AttrSet, name: &str, rev: &Text) -> Option<Literal> {
    let literal = rev.literal()?;
    let mut bindings = set.attrpath_values();
    let binding = bindings
        .find(|binding| syntax::keys(binding.attrpath()).is_some_and(|keys| keys == [name]))?;
    let (key, value) = (binding.attrpath()?, binding.value()?);
    let range = key.syntax().text_range().cover(value.syntax().text_range());
    let (start, end): (usize, usize) = (range.start().into(), range.end().into());
    let is_inside = literal.file == file && (start..end).contains(&literal.start);
    let text = binding.syntax().text().to_string();
    let text = text.get(start - syntax::start(binding.syntax())..)?.get(..end - start)?;
    (!is_inside).then(|| Literal { file, start, text: text.to_owned() })
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
        if let Some(code) = self.get(name, what)?
            && let Some(literal) = fake(&code)
        {
            return Ok(HashPin { literal, value: Sri::FAKE, is_string: false });
        }
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
            Some(value) => Ok(HashPin { literal, value, is_string: true }),
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

/// `lib.fakeHash`, as it stands there.
fn fake(code: &Code) -> Option<Literal> {
    let name = match syntax::unparenthesised(code.expr.clone()) {
        Expr::Select(select) => syntax::keys(select.attrpath())?.pop()?,
        Expr::Ident(ident) => {
            let is_inherited = ident.syntax().parent().and_then(ast::Inherit::cast).is_some();
            (!is_inherited).then(|| ident.syntax().text().to_string())?
        }
        _ => return None,
    };
    let node = code.expr.syntax();
    FAKES.contains(&name.as_str()).then(|| Literal {
        file: code.file,
        start: syntax::start(node),
        text: node.text().to_string(),
    })
}

fn quoted(what: &str) -> String {
    if what.contains(' ') { what.to_owned() } else { format!("`{what}`") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tags_named_after_versions_are_revs() {
        for (rev, expected) in [
            ("1.12.1", Ok("1.12.1")),
            ("v1.12.1", Ok("1.12.1")),
            ("refs/tags/1.12.1", Ok("1.12.1")),
            ("main", Err("`main`")),
            ("refs/heads/1.12.1", Err("`refs/heads/1.12.1`")),
            ("8e2d4f6a1b3c", Err("`8e2d4f6a1b3c`")),
        ] {
            let found = version_of_rev(rev).map(|version| version.to_string());
            assert_eq!(found.as_deref().map_err(String::as_str), expected);
        }
    }
}

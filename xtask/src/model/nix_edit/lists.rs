//! The lists of upstream's packages: what each holds at the version that is pinned. Edits of them
//! are for `edit_lists`.
//!
//! ```text
//! list = [ … ] | list ++ list | lib.optionals c list | lib.optional c x | if c then list else list
//!      | with p; list | a name for one | python312Packages.x.optional-dependencies.y
//! c    = lib.versionAtLeast version "…" | lib.versionOlder version "…" | c && c | c || c | !c
//! ```
//!
//! Elements under any other condition are listed as uncertain: they may be there.

use rnix::ast::{self, BinOpKind, Expr};
use rowan::ast::AstNode as _;

use super::file::{NixFile, Scope};
use super::scope::Refused;
use super::sources::{self, Code, Sources};
use super::{python, syntax};
use crate::failure::Failure;
use crate::model::located::Located;
use crate::model::requirement::normalised;

/// An attribute that is a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ListName {
    /// `dependencies`: attributes of nixpkgs' Python packages and upstream's own packages.
    Dependencies,
    /// `build-system`: likewise.
    BuildSystem,
    /// `pythonRelaxDeps`: names of distributions whose bounds are not checked.
    RelaxDeps,
    /// `commands`: what one package of everything links into its `bin/`.
    Commands,
}

impl ListName {
    /// The name of the attribute in Nix.
    pub fn attribute(self) -> &'static str {
        match self {
            Self::Dependencies => "dependencies",
            Self::BuildSystem => "build-system",
            Self::RelaxDeps => "pythonRelaxDeps",
            Self::Commands => "commands",
        }
    }
}

/// A list as it is at the pinned version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    pub path: String,
    /// Of the attribute's value.
    pub line: usize,
    pub items: Vec<Item>,
}

/// An element of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// `click` of `python312Packages.click` and of `"click"`.
    pub name: Located<String>,
    /// Not under a condition that only Nix can decide.
    pub is_certain: bool,
}

/// One package as one file builds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expression {
    /// Its `pname`, normalised.
    pub package: String,
    pub path: String,
    pub line: usize,
    /// Is it a wheel, which nothing builds?
    pub is_wheel: bool,
    /// Where its file names a Python, and never of a version: `python3`.
    pub unversioned_python: Option<Located<String>>,
    /// Is it built whatever versions its build system wants?
    pub skips_build_check: bool,
    lists: Vec<(ListName, Listing)>,
}

impl Expression {
    /// A list of the package; `None` if it has none of that name.
    pub fn list(&self, name: ListName) -> Option<&Listing> {
        self.lists.iter().find(|(other, _)| *other == name).map(|(_, listing)| listing)
    }
}

/// The packages of upstream's that the files build, in order of appearance.
///
/// # Errors
/// For a syntax error, and for a list that is none of the known forms.
pub fn expressions(files: &[NixFile], scope: &Scope) -> Result<Vec<Expression>, Failure> {
    let sources = Sources::parse(files)?;
    let calls = calls(&sources, scope);
    calls.into_iter().map(|call| call.expression(&sources)).collect()
}

/// A call that builds one of upstream's packages.
pub(super) struct Call {
    pub package: String,
    pub file: usize,
    pub offset: usize,
    pub set: ast::AttrSet,
    /// `python312Packages.` of `python312Packages.buildPythonPackage`.
    pub prefix: String,
}

/// The calls that build upstream's packages, in order of appearance.
pub(super) fn calls(sources: &Sources, scope: &Scope) -> Vec<Call> {
    let builders = ["buildPythonApplication", "buildPythonPackage", "mkDerivation"];
    sources
        .all::<ast::Apply>()
        .filter_map(|(file, call)| {
            let function = syntax::unparenthesised(call.lambda()?);
            let prefix = match &function {
                Expr::Select(select) => format!("{}.", select.expr()?.syntax().text()),
                Expr::Ident(_) => String::new(),
                _ => return None,
            };
            if !builders.contains(&syntax::callee(&call)?.as_str()) {
                return None;
            }
            let Expr::AttrSet(set) = argument_set(call.argument()?)? else { return None };
            let pname = sources.attribute(file, set.syntax(), "pname").ok()??;
            let package = normalised(&sources.text(&pname).ok()?.value());
            let offset = syntax::start(call.syntax());
            scope.owns(&package).then_some(Call { package, file, offset, set, prefix })
        })
        .collect()
}

/// The attribute set of `{…}` and of `(finalAttrs: {…})`.
fn argument_set(expr: Expr) -> Option<Expr> {
    match syntax::unparenthesised(expr) {
        Expr::Lambda(lambda) => argument_set(lambda.body()?),
        other => Some(other),
    }
}

/// A part of a list: an element, and the literal it stands in, if it stands in one.
pub(super) struct Part {
    pub name: String,
    pub file: usize,
    offset: usize,
    is_certain: bool,
    /// List node and the element's index in it.
    pub place: Option<(ast::List, usize)>,
}

/// What is read of a list: its parts, and its literals in order.
#[derive(Default)]
pub(super) struct Parts {
    pub parts: Vec<Part>,
    pub literals: Vec<Literal>,
}

/// A list literal; `is_open` if it is part of the list under no condition at all.
pub(super) struct Literal {
    pub file: usize,
    pub list: ast::List,
    pub is_open: bool,
}

/// Under what an element stands.
#[derive(Clone, Copy)]
struct Condition {
    is_certain: bool,
    is_open: bool,
}

const UNCONDITIONAL: Condition = Condition { is_certain: true, is_open: true };

impl Call {
    fn expression(self, sources: &Sources) -> Result<Expression, Failure> {
        let names = [
            ListName::Dependencies,
            ListName::BuildSystem,
            ListName::RelaxDeps,
            ListName::Commands,
        ];
        let mut lists = Vec::new();
        for name in names {
            let Some(code) = self.attribute(sources, name)? else { continue };
            let source = &sources.0[code.file];
            let parts = self.parts(sources, &code, name)?;
            let item = |part: Part| {
                let source = &sources.0[part.file];
                let line = source.line(part.offset);
                Item {
                    name: Located { value: part.name, path: source.path.clone(), line },
                    is_certain: part.is_certain,
                }
            };
            let listing = Listing {
                path: source.path.clone(),
                line: source.line(syntax::start(code.expr.syntax())),
                items: parts.parts.into_iter().map(item).collect(),
            };
            lists.push((name, listing));
        }
        let source = &sources.0[self.file];
        let format = sources.attribute(self.file, self.set.syntax(), "format").ok().flatten();
        let format = format.and_then(|code| sources.text(&code).ok());
        let flags =
            sources.attribute(self.file, self.set.syntax(), "pypaBuildFlags").ok().flatten();
        let skip = "\"--skip-dependency-check\"";
        Ok(Expression {
            unversioned_python: self.unversioned_python(sources),
            skips_build_check: flags
                .is_some_and(|code| code.expr.syntax().text().to_string().contains(skip)),
            package: self.package,
            path: source.path.clone(),
            line: source.line(self.offset),
            is_wheel: format.is_some_and(|format| format.value() == "wheel"),
            lists,
        })
    }

    /// Where the file names a Python, if it names none of a version.
    fn unversioned_python(&self, sources: &Sources) -> Option<Located<String>> {
        if python::names(sources).iter().any(|name| name.literal.file == self.file) {
            return None;
        }
        let sources::Literal { file, start, text } = python::unversioned(sources, self.file)?;
        let source = &sources.0[file];
        Some(Located { value: text, path: source.path.clone(), line: source.line(start) })
    }

    /// The value of a list's attribute, followed to where it is written.
    pub fn attribute(&self, sources: &Sources, name: ListName) -> Result<Option<Code>, Failure> {
        let found = sources
            .attribute(self.file, self.set.syntax(), name.attribute())
            .and_then(|code| code.map(|code| sources.reduce(&code)).transpose());
        found.map_err(|refused| self.failure(sources, name, &refused))
    }

    /// What stands in a list.
    pub fn parts(&self, sources: &Sources, code: &Code, name: ListName) -> Result<Parts, Failure> {
        let mut parts = Parts::default();
        parts
            .read(sources, code, UNCONDITIONAL)
            .map_err(|refused| self.failure(sources, name, &refused))?;
        Ok(parts)
    }

    fn failure(&self, sources: &Sources, name: ListName, refused: &Refused) -> Failure {
        let expected = format!("a list as `{}` of `{}`", name.attribute(), self.package);
        sources
            .failure(&expected, refused)
            .hint("write it as lists joined by `++`, some of them under `lib.optionals`")
    }
}

impl Parts {
    fn read(&mut self, sources: &Sources, code: &Code, under: Condition) -> Result<(), Refused> {
        if let Some(name) = extra(&code.expr) {
            self.push(name, code, under, None);
            return Ok(());
        }
        let code = sources.reduce(code)?;
        let at = |expr: Option<Expr>| {
            expr.map(|expr| Code { expr, ..code }).ok_or_else(|| sources.refuse(&code))
        };
        match &code.expr {
            Expr::List(list) => {
                for (index, expr) in list.items().enumerate() {
                    let name = element_name(&expr);
                    let place = Some((list.clone(), index));
                    self.push(name, &Code { expr, ..code }, under, place);
                }
                let literal =
                    Literal { file: code.file, list: list.clone(), is_open: under.is_open };
                self.literals.push(literal);
                Ok(())
            }
            Expr::BinOp(concat) if concat.operator() == Some(BinOpKind::Concat) => {
                self.read(sources, &at(concat.lhs())?, under)?;
                self.read(sources, &at(concat.rhs())?, under)
            }
            Expr::IfElse(choice) => {
                let truth = truth(sources, &at(choice.condition())?);
                self.under(sources, &at(choice.body())?, under, truth)?;
                self.under(sources, &at(choice.else_body())?, under, truth.map(|truth| !truth))
            }
            Expr::Apply(call) => {
                let Some(Expr::Apply(inner)) = call.lambda().map(syntax::unparenthesised) else {
                    return Err(sources.refuse(&code));
                };
                let truth = truth(sources, &at(inner.argument())?);
                let argument = at(call.argument())?;
                match syntax::callee(call).as_deref() {
                    Some("optionals") => self.under(sources, &argument, under, truth),
                    Some("optional") if truth != Some(false) => {
                        let is_certain = under.is_certain && truth.is_some();
                        let under = Condition { is_certain, is_open: false };
                        self.push(element_name(&argument.expr), &argument, under, None);
                        Ok(())
                    }
                    Some("optional") => Ok(()),
                    _ => Err(sources.refuse(&code)),
                }
            }
            _ => Err(sources.refuse(&code)),
        }
    }

    fn under(
        &mut self,
        sources: &Sources,
        code: &Code,
        under: Condition,
        truth: Option<bool>,
    ) -> Result<(), Refused> {
        if truth == Some(false) {
            return Ok(());
        }
        let is_certain = under.is_certain && truth.is_some();
        self.read(sources, code, Condition { is_certain, is_open: false })
    }

    fn push(
        &mut self,
        name: String,
        code: &Code,
        under: Condition,
        place: Option<(ast::List, usize)>,
    ) {
        let offset = syntax::start(code.expr.syntax());
        self.parts.push(Part {
            name,
            file: code.file,
            offset,
            is_certain: under.is_certain,
            place,
        });
    }
}

/// `uvicorn[standard]` for `python312Packages.uvicorn.optional-dependencies.standard`.
fn extra(expr: &Expr) -> Option<String> {
    let Expr::Select(select) = syntax::unparenthesised(expr.clone()) else { return None };
    match syntax::keys(select.attrpath())?.as_slice() {
        [.., name, word, extra] if word == "optional-dependencies" => {
            Some(format!("{name}[{extra}]"))
        }
        _ => None,
    }
}

/// The name of an element: the attribute that it is or is made of, or what a string says.
fn element_name(expr: &Expr) -> String {
    match syntax::unparenthesised(expr.clone()) {
        Expr::Str(string) => syntax::plain(&string),
        Expr::Select(select) => syntax::keys(select.attrpath()).and_then(|keys| {
            let overridden = keys.iter().position(|key| key.starts_with("override"));
            keys[..overridden.unwrap_or(keys.len())].last().cloned().or_else(|| {
                // `dagster.override`: the package is in front of the dot.
                select.expr().map(|expr| expr.syntax().text().to_string())
            })
        }),
        Expr::Apply(call) => call.lambda().map(|function| element_name(&function)),
        other => Some(other.syntax().text().to_string()),
    }
    .unwrap_or_else(|| syntax::excerpt(&expr.syntax().text().to_string()))
}

/// Whether a condition holds at the pinned version; `None` if only Nix can tell.
fn truth(sources: &Sources, code: &Code) -> Option<bool> {
    let code = sources.reduce(code).ok()?;
    let of = |expr: Option<Expr>| truth(sources, &Code { expr: expr?, ..code });
    match &code.expr {
        Expr::UnaryOp(not) if not.operator() == Some(ast::UnaryOpKind::Invert) => {
            of(not.expr()).map(|truth| !truth)
        }
        Expr::BinOp(operation) => {
            let (left, right) = (of(operation.lhs()), of(operation.rhs()));
            match operation.operator()? {
                BinOpKind::And if left == Some(false) || right == Some(false) => Some(false),
                BinOpKind::Or if left == Some(true) || right == Some(true) => Some(true),
                BinOpKind::And | BinOpKind::Or => left.and(right),
                _ => None,
            }
        }
        Expr::Apply(call) => {
            let Expr::Apply(inner) = syntax::unparenthesised(call.lambda()?) else { return None };
            let version = |expr| {
                let text = sources.text(&Code { expr, ..code }).ok()?.value();
                // As Nix compares them: by component, a shorter one before a longer.
                text.split('.').map(|part| part.parse().ok()).collect::<Option<Vec<u64>>>()
            };
            let (first, second) = (version(inner.argument()?)?, version(call.argument()?)?);
            match syntax::callee(call)?.as_str() {
                "versionAtLeast" => Some(first >= second),
                "versionOlder" => Some(first < second),
                _ => None,
            }
        }
        _ => None,
    }
}

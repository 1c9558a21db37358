//! What a name or an expression stands for, followed through the scopes of Nix and across files.
//!
//! ```text
//! reference   = name | expr.a.b | inherit name | inherit (expr) name
//! followed to = let, rec, plain sets, `a // b`, `(finalAttrs: {…})`, a builder's argument,
//!               another file through `import ./f.nix`, `callPackage ./f.nix`, or an argument
//!               that is named like one (`dagster-src.version` is `version` of dagster-src.nix)
//! ```
//!
//! This is not an evaluator: conditions, operators other than `//`, and calls of anything else
//! are not followed, and the one who asks is told what was found instead.

use rnix::SyntaxNode;
use rnix::ast::{self, Expr, InterpolPart};
use rowan::ast::AstNode as _;

use super::sources::{Code, Literal, Sources};
use super::syntax;
use crate::failure::Failure;

/// Far deeper than anyone writes; reached by definitions that go round in circles.
const MAX_DEPTH: usize = 64;

/// Functions whose result has the attributes of their argument.
const BUILDERS: [&str; 5] = [
    "buildPythonApplication",
    "buildPythonPackage",
    "mkDerivation",
    "fetchFromGitHub",
    "fetchPypi",
];

/// A part of a string's value and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// Written in place, beside an interpolation.
    Fixed(String),
    Literal(Literal),
}

/// A string's value, in pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text(pub Vec<Piece>);

impl Text {
    pub fn value(&self) -> String {
        self.0
            .iter()
            .map(|piece| match piece {
                Piece::Fixed(text) => text.as_str(),
                Piece::Literal(literal) => literal.text.as_str(),
            })
            .collect()
    }

    /// The one literal that this is the whole value of.
    pub fn literal(&self) -> Option<&Literal> {
        match self.0.as_slice() {
            [Piece::Literal(literal)] => Some(literal),
            _ => None,
        }
    }

    pub fn literals(&self) -> impl Iterator<Item = &Literal> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Literal(literal) => Some(literal),
            Piece::Fixed(_) => None,
        })
    }
}

/// Where following ended without a value, and what stands there.
#[derive(Debug)]
pub(super) struct Refused {
    pub file: usize,
    pub offset: usize,
    pub found: String,
}

/// What a name is bound by.
pub(super) enum Bound {
    /// A `let` or `rec` set.
    Scope(SyntaxNode),
    /// An argument of a function.
    Argument(ast::Lambda),
    /// Nothing in this file, or `with`.
    Free,
}

impl Sources {
    /// The text that an expression evaluates to.
    pub fn text(&self, code: &Code) -> Result<Text, Refused> {
        self.text_at(code, 0)
    }

    /// The expression that is left when names and selections are followed.
    pub fn reduce(&self, code: &Code) -> Result<Code, Refused> {
        self.reduce_at(code, 0)
    }

    /// The value of an attribute of a set as it is written, without following it.
    pub fn attribute(
        &self,
        file: usize,
        set: &SyntaxNode,
        name: &str,
    ) -> Result<Option<Code>, Refused> {
        self.entry(file, set, &[name.to_owned()], 0)
    }

    fn text_at(&self, code: &Code, depth: usize) -> Result<Text, Refused> {
        let code = self.reduce_at(code, depth)?;
        let Expr::Str(string) = &code.expr else {
            return Err(self.refuse(&code));
        };
        if !syntax::is_verbatim(string) {
            return Err(Refused {
                found: format!("{}, a string with escapes or line breaks", excerpt(&code.expr)),
                ..self.refuse(&code)
            });
        }
        if let Some(text) = syntax::plain(string) {
            let start = syntax::content(string).start;
            return Ok(Text(vec![Piece::Literal(Literal { file: code.file, start, text })]));
        }
        let mut pieces = Vec::new();
        for part in string.parts() {
            match part {
                InterpolPart::Literal(part) => {
                    pieces.push(Piece::Fixed(ast::AstToken::syntax(&part).text().to_owned()));
                }
                InterpolPart::Interpolation(part) => {
                    let Some(expr) = part.expr() else { return Err(self.refuse(&code)) };
                    pieces.extend(self.text_at(&Code { expr, ..code }, depth + 1)?.0);
                }
            }
        }
        Ok(Text(pieces))
    }

    fn reduce_at(&self, code: &Code, depth: usize) -> Result<Code, Refused> {
        if depth > MAX_DEPTH {
            return Err(Refused { found: "a definition by itself".into(), ..self.refuse(code) });
        }
        let inner = match &code.expr {
            Expr::Paren(paren) => paren.expr(),
            Expr::LetIn(let_in) => let_in.body(),
            Expr::With(with) => with.body(),
            Expr::Assert(assert) => assert.body(),
            Expr::Ident(_) | Expr::Select(_) => return self.select(code, &[], depth + 1),
            _ => return Ok(code.clone()),
        };
        match inner {
            Some(expr) => self.reduce_at(&Code { expr, ..*code }, depth + 1),
            None => Err(self.refuse(code)),
        }
    }

    /// Follows `base.path`; an empty path follows `base` alone.
    fn select(&self, base: &Code, path: &[String], depth: usize) -> Result<Code, Refused> {
        if depth > MAX_DEPTH {
            return Err(Refused { found: "a definition by itself".into(), ..self.refuse(base) });
        }
        match &base.expr {
            Expr::Ident(ident) => return self.select_name(base, ident, path, depth),
            Expr::Select(select) if select.or_token().is_none() => {
                let (Some(expr), Some(mut keys)) = (select.expr(), syntax::keys(select.attrpath()))
                else {
                    return Err(self.refuse(base));
                };
                keys.extend_from_slice(path);
                return self.select(&Code { expr, ..*base }, &keys, depth + 1);
            }
            Expr::Select(_) => return Err(self.refuse(base)),
            _ if path.is_empty() => return self.reduce_at(base, depth + 1),
            _ => {}
        }
        let code = self.reduce_at(base, depth + 1)?;
        match &code.expr {
            Expr::AttrSet(set) => self
                .entry(code.file, set.syntax(), path, depth)?
                .ok_or_else(|| self.lacks(&code, path))
                .and_then(|found| self.reduce_at(&found, depth + 1)),
            Expr::BinOp(update) if update.operator() == Some(ast::BinOpKind::Update) => {
                self.select_update(&code, update, path, depth)
            }
            Expr::Apply(call) => self.select_result(&code, call, path, depth),
            // The functions around a file's expression, or the attributes a builder's function
            // makes.
            Expr::Lambda(lambda) => match lambda.body() {
                Some(expr) => self.select(&Code { expr, ..code }, path, depth + 1),
                None => Err(self.refuse(&code)),
            },
            _ => Err(self.refuse(&code)),
        }
    }

    fn select_update(
        &self,
        code: &Code,
        update: &ast::BinOp,
        path: &[String],
        depth: usize,
    ) -> Result<Code, Refused> {
        let (Some(lhs), Some(rhs)) = (update.lhs(), update.rhs()) else {
            return Err(self.refuse(code));
        };
        let right = self.reduce_at(&Code { expr: rhs, ..*code }, depth + 1)?;
        let Expr::AttrSet(set) = &right.expr else { return Err(self.refuse(&right)) };
        match self.entry(right.file, set.syntax(), path, depth)? {
            Some(found) => self.reduce_at(&found, depth + 1),
            None => self.select(&Code { expr: lhs, ..*code }, path, depth + 1),
        }
    }

    /// An attribute of what a call returns.
    fn select_result(
        &self,
        code: &Code,
        call: &ast::Apply,
        path: &[String],
        depth: usize,
    ) -> Result<Code, Refused> {
        if let Some(root) = self.imported(code.file, call) {
            return self.select(&root, path, depth + 1);
        }
        let callee = syntax::callee(call).unwrap_or_default();
        match call.argument() {
            Some(expr) if BUILDERS.contains(&callee.as_str()) => {
                self.select(&Code { expr, ..*code }, path, depth + 1)
            }
            _ => Err(self.refuse(code)),
        }
    }

    fn select_name(
        &self,
        code: &Code,
        ident: &ast::Ident,
        path: &[String],
        depth: usize,
    ) -> Result<Code, Refused> {
        let name = ident.syntax().text().to_string();
        let inherit = ident.syntax().parent().and_then(ast::Inherit::cast);
        let full: Vec<String> = std::iter::once(name).chain(path.iter().cloned()).collect();
        if let Some(from) = inherit.as_ref().and_then(|inherit| inherit.from()) {
            let Some(expr) = from.expr() else { return Err(self.refuse(code)) };
            return self.select(&Code { expr, ..*code }, &full, depth + 1);
        }
        match bound(ident, &full[0], inherit.is_some()) {
            Bound::Scope(scope) => self
                .entry(code.file, &scope, &full, depth)?
                .ok_or_else(|| self.lacks(code, path))
                .and_then(|found| self.reduce_at(&found, depth + 1)),
            Bound::Argument(lambda) => match builder_attributes(&lambda) {
                Some(expr) if !path.is_empty() => {
                    self.select(&Code { expr, ..*code }, path, depth + 1)
                }
                _ => self.outside(code, &full, depth),
            },
            Bound::Free => self.outside(code, &full, depth),
        }
    }

    /// `dagster-src.version` where `dagster-src` comes from outside: the file of that name says.
    fn outside(&self, code: &Code, path: &[String], depth: usize) -> Result<Code, Refused> {
        let refused = |why: String| Refused {
            found: format!("`{}`, {why}", path.join(".")),
            ..self.refuse(code)
        };
        let [.., package, attribute] = path else {
            return Err(refused("which is passed in from outside".into()));
        };
        match self.file_of_package(code.file, package) {
            Some(root) => self.select(&root, std::slice::from_ref(attribute), depth + 1),
            None => Err(refused(format!("and no file for `{package}` is among those edited"))),
        }
    }

    /// The file that a package argument is called from: same directory first, else the only one.
    pub fn file_of_package(&self, from: usize, package: &str) -> Option<Code> {
        let stem = |path: &str| {
            let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
            match name.strip_suffix(".nix")? {
                "default" | "package" => directory.rsplit('/').next().map(str::to_owned),
                stem => Some(stem.to_owned()),
            }
        };
        let found: Vec<usize> = (0..self.0.len())
            .filter(|&file| stem(&self.0[file].path).as_deref() == Some(package))
            .collect();
        let near: Vec<usize> = found
            .iter()
            .copied()
            .filter(|&file| directory(&self.0[file].path) == directory(&self.0[from].path))
            .collect();
        match (near.as_slice(), found.as_slice()) {
            ([file], _) | ([], [file]) => self.root(*file),
            _ => None,
        }
    }

    /// The expression of `import ./file.nix …` or `callPackage ./file.nix …`.
    fn imported(&self, from: usize, call: &ast::Apply) -> Option<Code> {
        let callee = syntax::callee(call)?;
        if callee != "import" && callee != "callPackage" {
            return None;
        }
        let mut innermost = call.clone();
        while let Expr::Apply(inner) = syntax::unparenthesised(innermost.lambda()?) {
            innermost = inner;
        }
        let Expr::PathRel(path) = syntax::unparenthesised(innermost.argument()?) else {
            return None;
        };
        self.file_at(from, &path.syntax().text().to_string())
    }

    /// The expression of the file, or of the directory's, that a relative path names.
    pub fn file_at(&self, from: usize, path: &str) -> Option<Code> {
        let wanted = joined(directory(&self.0[from].path), path);
        let file = self.0.iter().position(|source| {
            source.path == wanted || source.path == format!("{wanted}/default.nix")
        })?;
        self.root(file)
    }

    fn root(&self, file: usize) -> Option<Code> {
        self.0[file].root.expr().map(|expr| Code { file, expr })
    }

    /// Finds `path` among the entries of a set or `let`.
    fn entry(
        &self,
        file: usize,
        scope: &SyntaxNode,
        path: &[String],
        depth: usize,
    ) -> Result<Option<Code>, Refused> {
        let mut found: Vec<(Code, usize)> = Vec::new();
        for entry in syntax::entries(scope) {
            match entry {
                ast::Entry::Inherit(inherit) => {
                    let attrs =
                        inherit.attrs().filter(|attr| syntax::key(attr) == Some(path[0].clone()));
                    for attr in attrs {
                        if let ast::Attr::Ident(ident) = attr {
                            found.push((Code { file, expr: Expr::Ident(ident) }, 1));
                        }
                    }
                }
                ast::Entry::AttrpathValue(binding) => {
                    let Some(keys) = syntax::keys(binding.attrpath()) else { continue };
                    let (true, Some(expr)) = (path.starts_with(&keys), binding.value()) else {
                        continue;
                    };
                    found.push((Code { file, expr }, keys.len()));
                }
            }
        }
        match found.as_slice() {
            [] => Ok(None),
            [(code, used)] if *used == path.len() => Ok(Some(code.clone())),
            [(code, used)] => self.select(code, &path[*used..], depth + 1).map(Some),
            [_, (second, _), ..] => Err(Refused {
                found: format!("a second definition of `{}`", path.join(".")),
                ..self.refuse(second)
            }),
        }
    }

    fn lacks(&self, code: &Code, path: &[String]) -> Refused {
        Refused {
            found: format!("{}, which has no `{}`", excerpt(&code.expr), path.join(".")),
            ..self.refuse(code)
        }
    }

    pub fn refuse(&self, code: &Code) -> Refused {
        let kind = match &code.expr {
            Expr::IfElse(_) => "a condition: ",
            Expr::Apply(_) => "a function call: ",
            Expr::BinOp(_) => "an operation: ",
            _ => "",
        };
        Refused {
            file: code.file,
            offset: syntax::start(code.expr.syntax()),
            found: format!("{kind}{}", excerpt(&code.expr)),
        }
    }

    /// `expected … at `file:line`, found …`.
    pub fn failure(&self, expected: &str, refused: &Refused) -> Failure {
        let place = self.place(refused.file, refused.offset);
        Failure::failed(format!("expected {expected} at `{place}`, found {}", refused.found))
    }
}

fn excerpt(expr: &Expr) -> String {
    syntax::excerpt(&expr.syntax().text().to_string())
}

/// Finds the binder of a name by walking outwards. `inherit name` starts outside of its set.
pub(super) fn bound(ident: &ast::Ident, name: &str, inherited: bool) -> Bound {
    let mut outside = !inherited;
    for node in ident.syntax().ancestors().skip(1) {
        let binds = syntax::entries(&node).any(|entry| match entry {
            ast::Entry::Inherit(inherit) => {
                inherit.attrs().any(|attr| syntax::key(&attr).as_deref() == Some(name))
            }
            ast::Entry::AttrpathValue(binding) => binding
                .attrpath()
                .and_then(|path| syntax::key(&path.attrs().next()?))
                .is_some_and(|key| key == name),
        });
        let scope = match Expr::cast(node.clone()) {
            Some(Expr::AttrSet(set)) => Some(set.rec_token().is_some()),
            Some(Expr::LetIn(_) | Expr::LegacyLet(_)) => Some(true),
            Some(Expr::Lambda(lambda)) if is_argument(&lambda, name) => {
                return Bound::Argument(lambda);
            }
            _ => None,
        };
        match scope {
            // The set or `let` that the `inherit` itself stands in.
            Some(_) if !outside => outside = true,
            Some(true) if binds => return Bound::Scope(node),
            _ => {}
        }
    }
    Bound::Free
}

fn is_argument(lambda: &ast::Lambda, name: &str) -> bool {
    let is = |ident: Option<ast::Ident>| ident.is_some_and(|ident| ident.syntax().text() == name);
    match lambda.param() {
        Some(ast::Param::IdentParam(param)) => is(param.ident()),
        Some(ast::Param::Pattern(pattern)) => {
            pattern.pat_entries().any(|entry| is(entry.ident()))
                || pattern.pat_bind().is_some_and(|bind| is(bind.ident()))
        }
        None => false,
    }
}

/// For `mkDerivation (finalAttrs: {…})`: the set that `finalAttrs` is.
fn builder_attributes(lambda: &ast::Lambda) -> Option<Expr> {
    if !matches!(lambda.param()?, ast::Param::IdentParam(_)) {
        return None;
    }
    let mut node = lambda.syntax().parent()?;
    while node.kind() == rnix::SyntaxKind::NODE_PAREN {
        node = node.parent()?;
    }
    let call = ast::Apply::cast(node)?;
    BUILDERS.contains(&syntax::callee(&call)?.as_str()).then(|| lambda.body())?
}

fn directory(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

/// A relative path, as written in a file of that directory, from where the directory's path starts.
fn joined(directory: &str, relative: &str) -> String {
    let mut parts: Vec<&str> = directory.split('/').filter(|part| !part.is_empty()).collect();
    for part in relative.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let absolute = if directory.starts_with('/') { "/" } else { "" };
    format!("{absolute}{}", parts.join("/"))
}

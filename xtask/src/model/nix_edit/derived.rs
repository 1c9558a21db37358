//! Hashes of what is made from the source: `fetchYarnDeps`, `cargoHash`, `outputHash` and whatever
//! else. They belong to what is about to change, and nobody here can compute them.
//!
//! A call has such a hash when a set that it is given binds one, or when one stands among its
//! arguments; it depends on the source when anything in it leads to a literal that changes. Names
//! are followed further here than in `scope`, whose answers are values: where a value cannot be
//! told, everything that it may be made of counts.

use std::collections::BTreeSet;

use rnix::ast::{self, Expr, HasEntry as _};
use rnix::{SyntaxKind, SyntaxNode};
use rowan::ast::AstNode as _;

use super::scope::{Bound, bound};
use super::sources::{Code, Literal, Sources};
use super::{hash, syntax};

/// What decides nothing about what a hash is of.
const ASIDE: [&str; 2] = ["meta", "passthru"];

/// What decides nothing about dependencies that a builder fetches apart (`cargoHash` and the like).
const NOT_FETCHED_WITH: [&str; 10] = [
    "buildInputs",
    "build-system",
    "checkInputs",
    "dependencies",
    "nativeBuildInputs",
    "nativeCheckInputs",
    "optional-dependencies",
    "propagatedBuildInputs",
    "pythonImportsCheck",
    "pythonRelaxDeps",
];

/// A hash that stays while what it is of changes.
pub(super) struct Stale {
    /// As it is bound, or `a hash` for one among arguments.
    pub name: String,
    pub place: String,
    /// What of it changes: where it stands.
    pub follows: String,
}

/// Which literals an edit has a value for, and which of them change.
pub(super) struct Changes<'a> {
    pub is_managed: &'a dyn Fn(&Literal) -> bool,
    pub changes: &'a dyn Fn(&Literal) -> bool,
}

/// The first call, or else the first set, with a hash that would stay.
pub(super) fn find(sources: &Sources, edit: &Changes<'_>) -> Option<Stale> {
    let calls = sources.all::<ast::Apply>().filter(|(_, call)| is_whole(call));
    let calls = calls.map(|(file, call)| {
        let code = Code { file, expr: Expr::Apply(call) };
        (arguments(sources, &code), code)
    });
    // Whatever takes it may be in another file.
    let sets = sources.all::<ast::AttrSet>().map(|(file, set)| {
        let given = Arguments { sets: vec![(file, set.clone())], strings: Vec::new() };
        (given, Code { file, expr: Expr::AttrSet(set) })
    });
    calls.chain(sets).find_map(|(given, code)| {
        let hash = hash_of(sources, edit, &given)?;
        let aside = aside(&given, hash.is_of_dependencies);
        let follows = leads_to(sources, edit, &code, &aside)?;
        Some(Stale { name: hash.name, place: hash.place, follows })
    })
}

/// Is this a call with all its arguments?
fn is_whole(call: &ast::Apply) -> bool {
    let mut node = call.syntax().clone();
    while let Some(parent) = node.parent() {
        match Expr::cast(parent.clone()) {
            Some(Expr::Paren(_)) => node = parent,
            Some(Expr::Apply(outer)) => {
                return outer.lambda().is_none_or(|callee| *callee.syntax() != node);
            }
            _ => return true,
        }
    }
    true
}

struct Hash {
    name: String,
    place: String,
    is_of_dependencies: bool,
}

/// What a call is given, as far as it can be told: sets, whatever they are put together from, and
/// strings.
#[derive(Default)]
struct Arguments {
    sets: Vec<(usize, ast::AttrSet)>,
    strings: Vec<(usize, ast::Str)>,
}

fn arguments(sources: &Sources, call: &Code) -> Arguments {
    let mut given = Arguments::default();
    let mut todo = Vec::new();
    add_arguments(call, &mut todo);
    let mut seen = BTreeSet::new();
    while let Some(code) = todo.pop() {
        if !seen.insert(id(code.file, code.expr.syntax())) {
            continue;
        }
        let mut add = |expr: Option<Expr>| {
            todo.extend(expr.map(|expr| Code { file: code.file, expr }));
        };
        match &code.expr {
            Expr::AttrSet(set) => given.sets.push((code.file, set.clone())),
            Expr::Str(string) => given.strings.push((code.file, string.clone())),
            // The arguments of a call that is itself an argument are its own affair, unless it is
            // `optionalAttrs`, `recursiveUpdate` and the like, which give a set.
            Expr::Apply(inner) => {
                let callee = syntax::callee(inner).unwrap_or_default();
                if callee.contains("Attrs") || callee.contains("pdate") {
                    add_arguments(&code, &mut todo);
                }
            }
            Expr::BinOp(operation) => {
                add(operation.lhs());
                add(operation.rhs());
            }
            Expr::IfElse(either) => {
                add(either.body());
                add(either.else_body());
            }
            Expr::Paren(inner) => add(inner.expr()),
            Expr::LetIn(inner) => add(inner.body()),
            Expr::With(inner) => add(inner.body()),
            Expr::Assert(inner) => add(inner.body()),
            Expr::Lambda(inner) => add(inner.body()),
            Expr::Ident(_) | Expr::Select(_) => todo.extend(sources.reduce(&code)),
            _ => {}
        }
    }
    given
}

/// All arguments of a call: `a` and `b` of `f a b`.
fn add_arguments(call: &Code, to: &mut Vec<Code>) {
    let mut function = Some(call.expr.clone());
    while let Some(Expr::Apply(inner)) = function {
        to.extend(inner.argument().map(|expr| Code { file: call.file, expr }));
        function = inner.lambda().map(syntax::unparenthesised);
    }
}

/// The first hash among the arguments of a call, or in a set that it is given, that an edit has no
/// value for.
fn hash_of(sources: &Sources, edit: &Changes<'_>, given: &Arguments) -> Option<Hash> {
    let in_set = given.sets.iter().find_map(|(file, set)| hash_in(sources, edit, *file, set));
    in_set.or_else(|| {
        let literals =
            given.strings.iter().filter_map(|(file, string)| hash_literal(*file, string));
        let literal = literals.into_iter().find(|literal| !(edit.is_managed)(literal))?;
        let place = sources.place_of(&literal);
        Some(Hash { name: "a hash".into(), place, is_of_dependencies: false })
    })
}

/// The bindings in what a call is given that decide nothing about its hash.
fn aside(given: &Arguments, is_of_dependencies: bool) -> BTreeSet<Id> {
    let decides_nothing = |name: &str| {
        ASIDE.contains(&name) || (is_of_dependencies && NOT_FETCHED_WITH.contains(&name))
    };
    let mut found = BTreeSet::new();
    for (file, set) in &given.sets {
        for binding in set.attrpath_values() {
            let keys = syntax::keys(binding.attrpath());
            if keys.is_some_and(|keys| decides_nothing(&keys[0])) {
                found.insert(id(*file, binding.syntax()));
            }
        }
    }
    found
}

/// The first hash in a set that an edit has no value for.
fn hash_in(sources: &Sources, edit: &Changes<'_>, file: usize, set: &ast::AttrSet) -> Option<Hash> {
    let found = |name: &str, offset| Hash {
        name: name.to_owned(),
        place: sources.place(file, offset),
        is_of_dependencies: name.ends_with("Hash") && name != "outputHash",
    };
    let is_managed = |code: &Code| {
        let node = code.expr.syntax();
        let itself =
            Literal { file: code.file, start: syntax::start(node), text: node.text().to_string() };
        let text = sources.text(code).ok();
        let literal = text.as_ref().and_then(|text| text.literal());
        (edit.is_managed)(literal.unwrap_or(&itself))
    };
    for entry in set.entries() {
        match entry {
            ast::Entry::AttrpathValue(binding) => {
                let name = syntax::keys(binding.attrpath()).and_then(|mut keys| keys.pop());
                let (Some(name), Some(expr)) = (name, binding.value()) else { continue };
                let is_one = match syntax::unparenthesised(expr.clone()) {
                    Expr::Str(string) => hash_literal(file, &string).is_some(),
                    // As `outputHashes = { "name-1.0" = "sha256-…"; }`.
                    Expr::AttrSet(inner) if name.ends_with("ashes") => {
                        inner.entries().next().is_some()
                    }
                    _ => false,
                };
                if (is_one || is_hash_name(&name)) && !is_managed(&Code { file, expr }) {
                    return Some(found(&name, syntax::start(binding.syntax())));
                }
            }
            ast::Entry::Inherit(inherit) => {
                for attr in inherit.attrs() {
                    let Some(name) = syntax::key(&attr).filter(|name| is_hash_name(name)) else {
                        continue;
                    };
                    let code = sources.attribute(file, set.syntax(), &name).ok().flatten();
                    if !code.is_some_and(|code| is_managed(&code)) {
                        return Some(found(&name, syntax::start(attr.syntax())));
                    }
                }
            }
        }
    }
    None
}

fn is_hash_name(name: &str) -> bool {
    matches!(name, "hash" | "sha256" | "sha512" | "sha1" | "md5")
        || name.ends_with("Hash")
        || name.ends_with("Sha256")
}

/// A string that is a hash by its form.
fn hash_literal(file: usize, string: &ast::Str) -> Option<Literal> {
    let text = syntax::plain(string).filter(|text| !text.is_empty())?;
    let is_sri = ["sha1-", "sha256-", "sha512-", "md5-"]
        .iter()
        .any(|algorithm| text.strip_prefix(algorithm).is_some_and(|digest| digest.len() > 20));
    let is_one = is_sri || hash::parse_hash(&text).is_some();
    is_one.then(|| Literal { file, start: syntax::content(string).start, text })
}

/// Where the literal is that changes and that this code leads to, or the name that may be anything.
fn leads_to(
    sources: &Sources,
    edit: &Changes<'_>,
    code: &Code,
    aside: &BTreeSet<Id>,
) -> Option<String> {
    let mut todo = vec![(code.file, code.expr.syntax().clone())];
    let mut seen = aside.clone();
    while let Some((file, node)) = todo.pop() {
        if !seen.insert(id(file, &node)) {
            continue;
        }
        match Expr::cast(node.clone()) {
            Some(Expr::Str(string)) => {
                let text = syntax::plain(&string);
                let start = syntax::content(&string).start;
                let literal = text.map(|text| Literal { file, start, text });
                if let Some(literal) = literal.filter(|literal| (edit.changes)(literal)) {
                    return Some(sources.place_of(&literal));
                }
            }
            Some(Expr::Select(select)) => {
                if let Ok(code) = sources.reduce(&Code { file, expr: Expr::Select(select.clone()) })
                {
                    todo.push((code.file, code.expr.syntax().clone()));
                    todo.extend(select.default_expr().map(|expr| (file, expr.syntax().clone())));
                    continue;
                }
                let keys = syntax::keys(select.attrpath()).unwrap_or_default();
                if keys.last().is_some_and(|key| key == "src") {
                    return Some(sources.place(file, syntax::start(&node)));
                }
                let packages = keys.iter().filter_map(|key| sources.file_of_package(file, key));
                todo.extend(packages.map(|code| (code.file, code.expr.syntax().clone())));
            }
            Some(Expr::Ident(ident)) => {
                if !is_reference(&ident) {
                    continue;
                }
                match steps(sources, file, &ident) {
                    Some(next) => todo.extend(next),
                    None => return Some(sources.place(file, syntax::start(&node))),
                }
                continue;
            }
            Some(Expr::PathRel(path)) => {
                let code = sources.file_at(file, &path.syntax().text().to_string());
                todo.extend(code.map(|code| (code.file, code.expr.syntax().clone())));
            }
            _ => {}
        }
        todo.extend(node.children().map(|child| (file, child)));
    }
    None
}

/// Is this name one that stands for something, not the key of an attribute or a parameter?
fn is_reference(ident: &ast::Ident) -> bool {
    let parent = ident.syntax().parent().map(|parent| parent.kind());
    !matches!(
        parent,
        Some(
            SyntaxKind::NODE_ATTRPATH
                | SyntaxKind::NODE_PAT_ENTRY
                | SyntaxKind::NODE_PAT_BIND
                | SyntaxKind::NODE_IDENT_PARAM
        )
    )
}

/// What a name may stand for, one step on; `None` for a source that is passed in.
fn steps(sources: &Sources, file: usize, ident: &ast::Ident) -> Option<Vec<(usize, SyntaxNode)>> {
    let name = ident.syntax().text().to_string();
    let inherit = ident.syntax().parent().and_then(ast::Inherit::cast);
    let package = |name: &str| {
        let code = sources.file_of_package(file, name);
        code.map(|code| (code.file, code.expr.syntax().clone()))
    };
    if let Some(from) = inherit.as_ref().and_then(ast::Inherit::from) {
        if let Ok(code) = sources.reduce(&Code { file, expr: Expr::Ident(ident.clone()) }) {
            return Some(vec![(code.file, code.expr.syntax().clone())]);
        }
        if name == "src" {
            return None;
        }
        let from = from.expr().map(|expr| (file, expr.syntax().clone()));
        return Some(package(&name).into_iter().chain(from).collect());
    }
    let mut next: Vec<(usize, SyntaxNode)> = Vec::new();
    match bound(ident, &name, inherit.is_some()) {
        Bound::Scope(scope) => {
            for entry in syntax::entries(&scope) {
                match entry {
                    ast::Entry::AttrpathValue(binding) => {
                        let keys = syntax::keys(binding.attrpath());
                        if keys.is_some_and(|keys| keys[0] == name) {
                            next.extend(binding.value().map(|expr| (file, expr.syntax().clone())));
                        }
                    }
                    ast::Entry::Inherit(inherit) => {
                        let attrs = inherit
                            .attrs()
                            .filter(|attr| syntax::key(attr).as_deref() == Some(&*name));
                        next.extend(attrs.map(|attr| (file, attr.syntax().clone())));
                    }
                }
            }
        }
        Bound::Argument(lambda) => {
            next.extend(package(&name));
            let is_whole = matches!(lambda.param(), Some(ast::Param::IdentParam(_)));
            if is_whole {
                // `finalAttrs` of a builder: the set that the function makes.
                next.extend(lambda.body().map(|body| (file, body.syntax().clone())));
            } else if name == "src" && next.is_empty() {
                return None;
            }
            if let Some(ast::Param::Pattern(pattern)) = lambda.param() {
                let entries = pattern.pat_entries().filter(|entry| {
                    entry.ident().is_some_and(|ident| ident.syntax().text() == name.as_str())
                });
                let defaults = entries.filter_map(|entry| entry.default());
                next.extend(defaults.map(|expr| (file, expr.syntax().clone())));
            }
        }
        Bound::Free => {
            next.extend(package(&name));
            let withs = ident.syntax().ancestors().filter_map(ast::With::cast);
            let namespaces = withs.filter_map(|with| with.namespace());
            next.extend(namespaces.map(|expr| (file, expr.syntax().clone())));
        }
    }
    Some(next)
}

/// What a node is known by: its file, where it begins and ends, and its kind.
type Id = (usize, usize, usize, u16);

fn id(file: usize, node: &SyntaxNode) -> Id {
    let range = node.text_range();
    (file, range.start().into(), range.end().into(), node.kind() as u16)
}

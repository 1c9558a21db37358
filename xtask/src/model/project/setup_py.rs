//! `setup.py`: the arguments of its call of `setup(…)`, as far as they can be known from reading.
//!
//! The file is parsed as Python and never run. Followed are literals, lists and dictionaries of
//! them, `+` between them, f-strings, and names that the module assigns once. Everything else is
//! unknown: a call, a condition, a name that is assigned in several places.

use std::collections::BTreeMap;

use anyhow::Result;
use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{
    Expr, ExprCall, FStringPart, InterpolatedStringElement, ModModule, Operator, Stmt,
};
use ruff_text_size::Ranged as _;

use super::stated::{COMPUTED, Stated, line_of};
use crate::model::located::Located;

/// Names within names, at most.
const MAX_DEPTH: usize = 32;

/// Bytes of stack for one file: the parser goes as deep as the file, which is no longer than
/// [`super::LARGEST`].
const STACK: usize = 1 << 30;

/// Reads the arguments of the one call of `setup` that the module makes.
pub(super) fn read(path: &str, text: &str) -> Result<Stated> {
    with_stack(|| stated(path, text))
}

/// The text that a module assigns to a name, if it does so once and plainly.
pub(super) fn constant(path: &str, text: &str, name: &str) -> Result<Option<Located<String>>> {
    with_stack(|| {
        let tree = parse(text)?;
        let module = Module::new(path, text, &tree);
        let value = module.names.get(name).copied().flatten();
        Ok(value
            .and_then(|value| module.value(value, 0).text())
            .filter(|text| !text.value.contains(COMPUTED)))
    })
}

/// Runs something on a stack of its own. It is reserved, and used only as far as it is needed.
fn with_stack<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work)?;
        thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the parser gave up")))
    })
}

fn stated(path: &str, text: &str) -> Result<Stated> {
    let tree = parse(text)?;
    let module = Module::new(path, text, &tree);
    let call = module.tree.body.iter().find_map(|statement| match statement {
        Stmt::Expr(statement) => match &*statement.value {
            Expr::Call(call) if callee(call) == Some("setup") => Some(call),
            _ => None,
        },
        _ => None,
    });
    let Some(call) = call else { return Ok(Stated::default()) };
    // `**arguments` may hold what is not named.
    let is_whole = call.arguments.keywords.iter().all(|keyword| keyword.arg.is_some());
    let argument = |name: &str| call.arguments.find_keyword(name).map(|keyword| &keyword.value);
    let or_empty = |name: &str| match argument(name) {
        Some(value) => Some(module.value(value, 0)),
        None => is_whole.then(|| Value::List(Vec::new())),
    };

    let requirements = or_empty("install_requires").and_then(|value| value.texts());
    let optional = match argument("extras_require").map(|value| module.value(value, 0)) {
        None => is_whole.then(BTreeMap::new),
        Some(value) => value.entries().and_then(|entries| {
            entries
                .into_iter()
                .map(|(extra, list)| Some((extra.text()?.value, list.texts()?)))
                .collect()
        }),
    };
    let commands = match argument("entry_points").map(|value| module.value(value, 0)) {
        None => is_whole.then(Vec::new),
        Some(value) => value.entries().and_then(|entries| {
            let mut scripts = Some(Vec::new());
            for (group, list) in entries {
                if group.text()?.value == "console_scripts" {
                    scripts = list.texts();
                }
            }
            let name = |script: Located<String>| {
                let name = script.value.split('=').next().unwrap_or_default().trim().to_owned();
                (!name.is_empty() && !name.contains(COMPUTED)).then(|| script.with(name))
            };
            scripts?.into_iter().map(name).collect()
        }),
    };
    let text = |name: &str| {
        let text = argument(name).and_then(|value| module.value(value, 0).text());
        text.filter(|text| !text.value.contains(COMPUTED))
    };
    let (python, version) = (text("python_requires"), text("version"));
    Ok(Stated { requirements, optional, commands, python, version })
}

fn parse(text: &str) -> Result<ModModule> {
    let parsed = ruff_python_parser::parse_module(text).map_err(|error| {
        let line = line_of(text, error.location.start().into());
        anyhow::anyhow!("expected Python at line {line}, found {}", error.error)
    })?;
    Ok(parsed.into_syntax())
}

/// What an expression is known to be.
enum Value {
    Text(Located<String>),
    List(Vec<Value>),
    Dict(Vec<(Value, Value)>),
    Unknown,
}

impl Value {
    fn text(self) -> Option<Located<String>> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    fn texts(self) -> Option<Vec<Located<String>>> {
        match self {
            Self::List(values) => values.into_iter().map(Self::text).collect(),
            _ => None,
        }
    }

    fn entries(self) -> Option<Vec<(Value, Value)>> {
        match self {
            Self::Dict(entries) => Some(entries),
            _ => None,
        }
    }
}

struct Module<'a> {
    path: &'a str,
    text: &'a str,
    tree: &'a ModModule,
    /// What names stand for; `None` for one that is changed anywhere else.
    names: BTreeMap<&'a str, Option<&'a Expr>>,
}

impl<'a> Module<'a> {
    fn new(path: &'a str, text: &'a str, tree: &'a ModModule) -> Self {
        let mut names: BTreeMap<&str, Option<&Expr>> = BTreeMap::new();
        for statement in &tree.body {
            let (target, value) = match statement {
                Stmt::Assign(assign) => match assign.targets.as_slice() {
                    [target] => (target, &*assign.value),
                    _ => continue,
                },
                Stmt::AnnAssign(assign) => match &assign.value {
                    Some(value) => (&*assign.target, &**value),
                    None => continue,
                },
                _ => continue,
            };
            if let Expr::Name(name) = target {
                names.insert(name.id.as_str(), Some(value));
            }
        }
        let mut changes = Changes::default();
        changes.visit_body(&tree.body);
        for (name, count) in changes.0 {
            if count > 1
                && let Some(value) = names.get_mut(name)
            {
                *value = None;
            }
        }
        Self { path, text, tree, names }
    }

    fn value(&self, expr: &Expr, depth: usize) -> Value {
        if depth > MAX_DEPTH {
            return Value::Unknown;
        }
        let text = |value: String| {
            let line = line_of(self.text, expr.start().into());
            Value::Text(Located { value, path: self.path.to_owned(), line })
        };
        match expr {
            Expr::StringLiteral(literal) => text(literal.value.to_str().to_owned()),
            Expr::FString(string) => {
                let mut value = String::new();
                for part in &string.value {
                    match part {
                        FStringPart::Literal(literal) => value += literal.as_str(),
                        FStringPart::FString(part) => {
                            for element in &part.elements {
                                value += &self.element(element, depth);
                            }
                        }
                    }
                }
                text(value)
            }
            Expr::List(list) => Value::List(self.values(&list.elts, depth)),
            Expr::Tuple(tuple) => Value::List(self.values(&tuple.elts, depth)),
            Expr::Dict(dict) => {
                let entry = |item: &ruff_python_ast::DictItem| {
                    let key = item.key.as_ref()?;
                    Some((self.value(key, depth + 1), self.value(&item.value, depth + 1)))
                };
                // Without a key it is `**other`.
                dict.items
                    .iter()
                    .map(entry)
                    .collect::<Option<_>>()
                    .map_or(Value::Unknown, Value::Dict)
            }
            Expr::Name(name) => match self.names.get(name.id.as_str()) {
                Some(Some(value)) => self.value(value, depth + 1),
                _ => Value::Unknown,
            },
            Expr::BinOp(sum) if sum.op == Operator::Add => {
                match (self.value(&sum.left, depth + 1), self.value(&sum.right, depth + 1)) {
                    (Value::List(mut left), Value::List(right)) => {
                        left.extend(right);
                        Value::List(left)
                    }
                    (Value::Text(left), Value::Text(right)) => text(left.value + &right.value),
                    _ => Value::Unknown,
                }
            }
            _ => Value::Unknown,
        }
    }

    fn values(&self, exprs: &[Expr], depth: usize) -> Vec<Value> {
        exprs.iter().map(|expr| self.value(expr, depth + 1)).collect()
    }

    fn element(&self, element: &InterpolatedStringElement, depth: usize) -> String {
        match element {
            InterpolatedStringElement::Literal(literal) => literal.value.to_string(),
            InterpolatedStringElement::Interpolation(part) if part.format_spec.is_none() => {
                match self.value(&part.expression, depth + 1) {
                    Value::Text(text) => text.value,
                    _ => COMPUTED.to_string(),
                }
            }
            InterpolatedStringElement::Interpolation(_) => COMPUTED.to_string(),
        }
    }
}

fn callee(call: &ExprCall) -> Option<&str> {
    match &*call.func {
        Expr::Name(name) => Some(name.id.as_str()),
        Expr::Attribute(attribute) => Some(attribute.attr.as_str()),
        _ => None,
    }
}

/// How often each name is bound or changed: assigned, deleted, imported, or called a method of.
#[derive(Default)]
struct Changes<'a>(BTreeMap<&'a str, usize>);

impl<'a> Visitor<'a> for Changes<'a> {
    fn visit_expr(&mut self, expr: &'a Expr) {
        let changed = match expr {
            Expr::Name(name) if !name.ctx.is_load() => Some(name),
            Expr::Subscript(part) if !part.ctx.is_load() => part.value.as_name_expr(),
            Expr::Attribute(part) => part.value.as_name_expr(),
            _ => None,
        };
        if let Some(name) = changed {
            *self.0.entry(name.id.as_str()).or_default() += 1;
        }
        visitor::walk_expr(self, expr);
    }
}

//! The modules of the program depend on each other in one direction: no circle, however long.
//!
//! Read from the sources with Rust's own grammar: every path in code and in macros, followed
//! through imports and re-exports to the file that defines what it names. Code that is there for
//! tests only is not looked at. A path whose first name is neither imported nor a module is not of
//! this crate; names that come by `*` are those of the module behind it.

// A rule that cannot be checked says so by panicking.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use syn::visit::{self, Visit};

/// Names from the crate's root down.
type Names = Vec<String>;

/// What a file says of others.
#[derive(Default)]
struct Module {
    /// What an import calls it, and what it is.
    imports: BTreeMap<String, Names>,
    /// Every path in the code.
    paths: Vec<Names>,
}

type Modules = BTreeMap<Names, Module>;
type Edges = BTreeMap<Names, BTreeSet<Names>>;

impl<'ast> Visit<'ast> for Module {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.import(&item.tree, &Vec::new());
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_for_tests(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_for_tests(&item.attrs) {
            visit::visit_item_fn(self, item);
        }
    }

    /// `pub(super)` says who may use something, and uses nothing.
    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.paths.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.read_tokens(&item.tokens.to_string());
        visit::visit_macro(self, item);
    }
}

impl Module {
    fn parse(text: &str) -> Self {
        let mut module = Self::default();
        module.visit_file(&syn::parse_file(text).unwrap());
        module
    }

    fn import(&mut self, tree: &syn::UseTree, before: &Names) {
        let with = |name: &syn::Ident| before.iter().cloned().chain([name.to_string()]).collect();
        match tree {
            syn::UseTree::Path(path) => self.import(&path.tree, &with(&path.ident)),
            syn::UseTree::Group(group) => {
                group.items.iter().for_each(|item| self.import(item, before));
            }
            syn::UseTree::Glob(_) => self.paths.push(before.clone()),
            syn::UseTree::Name(name) if name.ident == "self" => {
                self.bind(before.last().unwrap().clone(), before.clone());
            }
            syn::UseTree::Name(name) => self.bind(name.ident.to_string(), with(&name.ident)),
            syn::UseTree::Rename(name) => self.bind(name.rename.to_string(), with(&name.ident)),
        }
    }

    fn bind(&mut self, name: String, path: Names) {
        self.paths.push(path.clone());
        self.imports.insert(name, path);
    }

    /// Paths in a macro's arguments, which have no grammar.
    fn read_tokens(&mut self, tokens: &str) {
        let text = tokens.replace(" :: ", "::").replace(":: ", "::").replace(" ::", "::");
        let is_of_path = |c: char| c.is_alphanumeric() || matches!(c, '_' | ':');
        for word in text.split(|c| !is_of_path(c)).filter(|word| word.contains("::")) {
            self.paths.push(word.split("::").map(str::to_owned).collect());
        }
    }
}

fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        other => other.path().is_ident("test"),
    })
}

/// The modules below a directory.
fn read(dir: &Path, names: &Names, modules: &mut Modules) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let below: Names = names.iter().cloned().chain([stem.clone()]).collect();
        if path.is_dir() {
            read(&path, &below, modules);
        } else if path.extension().is_some_and(|it| it == "rs") && stem != "tests" {
            let is_dir = matches!(&*stem, "mod" | "lib" | "main");
            let name = if is_dir { names.clone() } else { below };
            if stem != "main" {
                modules.insert(name, Module::parse(&fs::read_to_string(&path).unwrap()));
            }
        }
    }
}

/// The module that defines what a path in a module names. `None`: it is not of this crate.
fn resolve(modules: &Modules, from: &Names, path: &[String]) -> Option<Names> {
    let (first, rest) = path.split_first()?;
    match modules[from].imports.get(first) {
        Some(import) => follow(modules, from, &import.iter().chain(rest).cloned().collect()),
        None => follow(modules, from, &path.to_vec()),
    }
}

/// The same for a path that does not begin with an imported name.
fn follow(modules: &Modules, from: &Names, path: &Names) -> Option<Names> {
    let (first, mut rest) = path.split_first()?;
    let below = |at: &Names, name: &str| -> Option<Names> {
        let child: Names = at.iter().cloned().chain([name.to_owned()]).collect();
        modules.contains_key(&child).then_some(child)
    };
    let mut at = match &**first {
        "crate" => Vec::new(),
        "self" => from.clone(),
        "super" => from[..from.len() - 1].to_vec(),
        name => below(from, name)?,
    };
    while let Some((name, after)) = rest.split_first() {
        if name == "super" {
            at.pop();
        } else if let Some(child) = below(&at, name) {
            at = child;
        } else if let Some(import) = modules[&at].imports.get(name).filter(|_| at != *from) {
            let whole: Names = import.iter().chain(after).cloned().collect();
            return follow(modules, &at, &whole);
        } else {
            break;
        }
        rest = after;
    }
    Some(at)
}

/// Which module names something of which other.
fn edges(modules: &Modules) -> Edges {
    let of = |(name, module): (&Names, &Module)| {
        let paths = module.paths.iter();
        let to = paths.filter_map(|path| resolve(modules, name, path));
        (name.clone(), to.filter(|to| to != name).collect())
    };
    modules.iter().map(of).collect()
}

/// The modules that can be reached from one, itself only if there is a way back.
fn reachable<'a>(edges: &'a Edges, from: &'a Names) -> BTreeSet<&'a Names> {
    let mut found = BTreeSet::new();
    let mut open = vec![from];
    while let Some(next) = open.pop() {
        open.extend(edges[next].iter().filter(|to| found.insert(*to)));
    }
    found
}

/// Every edge that is part of a circle, a line each.
fn circles(modules: &Modules) -> Vec<String> {
    let edges = edges(modules);
    let words = |names: &Names| match names.len() {
        0 => "lib".to_owned(),
        _ => names.join("::"),
    };
    let mut lines = Vec::new();
    for (from, tos) in &edges {
        for to in tos {
            if reachable(&edges, to).contains(from) {
                lines.push(format!("{} -> {}", words(from), words(to)));
            }
        }
    }
    lines
}

#[test]
fn there_is_no_circle() {
    let mut modules = Modules::new();
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    read(&src, &Vec::new(), &mut modules);
    assert!(modules.len() > 50, "only {} modules were found", modules.len());
    let count: usize = edges(&modules).values().map(BTreeSet::len).sum();
    assert!(count > 200, "only {count} edges were found");
    assert_eq!(circles(&modules), Vec::<String>::new());
}

#[test]
fn a_circle_is_found_by_whatever_closes_it() {
    let modules = |closing: &str| {
        let source = |names: &[&str], text: &str| {
            (names.iter().map(|name| (*name).to_owned()).collect(), Module::parse(text))
        };
        Modules::from([
            source(&[], "mod a; mod b; mod c;"),
            source(&["a"], "use crate::b::Made;\nfn a(made: Made) {}"),
            source(&["b"], "pub mod made;\npub use self::made::Made;"),
            source(&["b", "made"], &format!("pub struct Made;\n{closing}")),
            source(&["c"], "use super::a as other;\npub fn c() { other::a() }"),
        ])
    };
    let found = |closing: &str| circles(&modules(closing));
    let none: [&str; 0] = [];
    assert_eq!(found(""), none);
    assert_eq!(found("use std::fmt::Debug;\nfn x() { Debug::fmt() }"), none);
    assert_eq!(found("pub(super) fn x() {}\npub(crate) struct Other;"), none);
    assert_eq!(found("#[cfg(test)]\nmod tests { use crate::a::a; }"), none);
    let short = ["a -> b::made", "b::made -> a"];
    assert_eq!(found("use crate::a::a;"), short);
    assert_eq!(found("use crate::a::*;"), short);
    assert_eq!(found("fn x() { super::super::a::a() }"), short);
    assert_eq!(found("fn x(a: crate::a::A) {}"), short);
    assert_eq!(found("fn x() { println!(\"{}\", crate::a::a()) }"), short);
    let long = ["a -> b::made", "b::made -> c", "c -> a"];
    assert_eq!(found("use crate::c as it;\nfn x() { it::c() }"), long);
}

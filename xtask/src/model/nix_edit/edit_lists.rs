//! Edits of the lists of upstream's packages: an element is added, removed or replaced where the
//! list is written, and a list that is not there is begun. How the text around an element changes
//! is for `list_literal`.

use rnix::ast::{self, Expr, HasEntry as _};
use rowan::ast::AstNode as _;

use super::file::{NixFile, Scope};
use super::lists::{Call, Expression, ListName, calls};
use super::sources::Sources;
use super::{list_literal, syntax};
use crate::failure::Failure;

/// One edit of a list of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListEdit {
    pub path: String,
    pub package: String,
    pub list: ListName,
    pub change: ListChange,
}

/// What becomes of a list. Names are those of [`super::Item`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListChange {
    /// With a comment for the element's line.
    Add(String, Option<String>),
    Remove(String),
    Replace(String, String),
}

impl ListEdit {
    /// An edit of a list of the package that an expression builds.
    pub fn new(expression: &Expression, list: ListName, change: ListChange) -> Self {
        let Expression { path, package, .. } = expression;
        Self { path: path.clone(), package: package.clone(), list, change }
    }
}

/// Makes edits, one after the other; returns all files.
///
/// # Errors
/// For a package, list or element that is not there, and for an edit that cannot be written.
pub fn edit_lists(
    files: &[NixFile],
    scope: &Scope,
    edits: &[ListEdit],
) -> Result<Vec<NixFile>, Failure> {
    let mut files = files.to_vec();
    for edit in edits {
        let sources = Sources::parse(&files)?;
        let call = calls(&sources, scope)
            .into_iter()
            .find(|call| call.package == edit.package && sources.0[call.file].path == edit.path)
            .ok_or_else(|| {
                Failure::failed(format!("expected `{}` in `{}`", edit.package, edit.path))
            })?;
        let (file, text) = call.edited(&sources, scope, edit)?;
        files[file].text = format!("{}{text}", sources.0[file].bom);
    }
    // What is handed out is Nix, whatever was edited.
    Sources::parse(&files)?;
    Ok(files)
}

impl Call {
    /// The file that one edit changes, and its new text.
    fn edited(
        &self,
        sources: &Sources,
        scope: &Scope,
        edit: &ListEdit,
    ) -> Result<(usize, String), Failure> {
        let Some(code) = self.attribute(sources, edit.list)? else {
            let ListChange::Add(name, _) = &edit.change else {
                return Err(self.impossible(sources, edit, "there is no such list"));
            };
            let element = self.element(scope, edit.list, name, true);
            return self.new_list(sources, edit, &element);
        };
        let parts = self.parts(sources, &code, edit.list)?;
        let element_like = |name: &str| {
            let dotted = parts
                .literals
                .iter()
                .any(|literal| literal.list.items().any(|item| matches!(item, Expr::Select(_))));
            let under_with = parts.literals.iter().any(|literal| {
                literal.list.syntax().ancestors().any(|n| ast::With::can_cast(n.kind()))
            });
            self.element(scope, edit.list, name, dotted || !under_with)
        };
        let place_of = |name: &str| {
            parts
                .parts
                .iter()
                .filter(|part| part.name == name)
                .find_map(|part| Some((part.file, part.place.as_ref()?)))
                .ok_or_else(|| {
                    self.impossible(sources, edit, "it is in no list that is written out")
                })
        };
        let (file, text) = match &edit.change {
            ListChange::Add(name, comment) => {
                let literal =
                    parts.literals.iter().find(|literal| literal.is_open).ok_or_else(|| {
                        self.impossible(
                            sources,
                            edit,
                            "every part of the list is under a condition",
                        )
                    })?;
                let comment = comment.as_ref().map_or(String::new(), |text| format!(" # {text}"));
                let text = &sources.0[literal.file].text;
                let element = element_like(name);
                let edited = list_literal::add(text, &literal.list, &element, &comment);
                let path = &sources.0[literal.file].path;
                let edited =
                    edited.map(|text| with_argument(scope, path, text, name)).transpose()?;
                (literal.file, edited)
            }
            ListChange::Remove(name) => {
                let (file, (list, index)) = place_of(name)?;
                (file, list_literal::remove(&sources.0[file].text, list, *index))
            }
            ListChange::Replace(name, new) => {
                let (file, (list, index)) = place_of(name)?;
                let new = element_like(new);
                (file, list_literal::replace(&sources.0[file].text, list, *index, &new))
            }
        };
        let text = text.ok_or_else(|| {
            self.impossible(sources, edit, "no way of writing it is read back as intended")
        })?;
        Ok((file, text))
    }

    /// How an element is written.
    fn element(&self, scope: &Scope, list: ListName, name: &str, is_dotted: bool) -> String {
        match list {
            ListName::RelaxDeps | ListName::Commands => format!("\"{name}\""),
            _ if scope.packages.contains(&name.to_owned()) || !is_dotted => name.to_owned(),
            _ => format!("{}{name}", self.prefix),
        }
    }

    /// The attribute with its first element, behind the last attribute that packages begin with.
    fn new_list(
        &self,
        sources: &Sources,
        edit: &ListEdit,
        element: &str,
    ) -> Result<(usize, String), Failure> {
        let heads = ["dependencies", "build-system", "src", "pyproject", "format"];
        let head = heads.iter().find_map(|head| {
            self.set.attrpath_values().find(|binding| {
                syntax::keys(binding.attrpath()).is_some_and(|keys| keys == [*head])
            })
        });
        let head = head.ok_or_else(|| {
            self.impossible(sources, edit, "the package has no attribute to write it behind")
        })?;
        let text = &sources.0[self.file].text;
        let range = std::ops::Range::<usize>::from(head.syntax().text_range());
        let line = text[..range.start].rfind('\n').map_or(0, |at| at + 1);
        let indent: String = text[line..].chars().take_while(|c| matches!(c, ' ' | '\t')).collect();
        let new = format!("\n\n{indent}{} = [ {element} ];", edit.list.attribute());
        Ok((self.file, format!("{}{new}{}", &text[..range.end], &text[range.end..])))
    }

    fn impossible(&self, sources: &Sources, edit: &ListEdit, why: &str) -> Failure {
        let what = match &edit.change {
            ListChange::Add(name, _) => format!("add `{name}` to"),
            ListChange::Remove(name) => format!("remove `{name}` from"),
            ListChange::Replace(name, new) => format!("replace `{name}` by `{new}` in"),
        };
        let place = sources.place(self.file, self.offset);
        Failure::decision(format!(
            "cannot {what} `{}` of `{}` at `{place}`: {why}",
            edit.list.attribute(),
            self.package
        ))
        .hint("make this edit by hand, commit it, and run the command again")
    }
}

/// Adds one of upstream's own packages to the arguments of its file, where it is no name yet.
fn with_argument(scope: &Scope, path: &str, text: String, name: &str) -> Result<String, Failure> {
    if !scope.packages.contains(&name.to_owned()) {
        return Ok(text);
    }
    let source = syntax::Source::parse(&NixFile { path: path.to_owned(), text })?;
    let Some(Expr::Lambda(lambda)) = source.root.expr() else { return Ok(source.text) };
    let Some(ast::Param::Pattern(pattern)) = lambda.param() else { return Ok(source.text) };
    let is_bound = source
        .root
        .syntax()
        .descendants()
        .filter_map(ast::Attrpath::cast)
        .any(|path| path.syntax().text() == name)
        || pattern
            .pat_entries()
            .any(|entry| entry.ident().is_some_and(|ident| ident.syntax().text() == name));
    let Some(last) = pattern.pat_entries().last().filter(|_| !is_bound) else {
        return Ok(source.text);
    };
    let range = std::ops::Range::<usize>::from(last.syntax().text_range());
    let gap = source.text[..range.start].len() - source.text[..range.start].trim_end().len();
    let gap = &source.text[range.start - gap..range.start];
    Ok(format!("{},{gap}{name}{}", &source.text[..range.end], &source.text[range.end..]))
}

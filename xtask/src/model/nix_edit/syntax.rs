//! One parsed file: places in it, string literals, names of attributes and of called functions.
//!
//! Strings whose characters are not their value (escapes, stripped indentation) are not taken as
//! literals: what cannot be replaced byte for byte is refused, not guessed.

use rnix::ast::{self, AstToken as _, Expr, HasEntry as _, InterpolPart};
use rnix::{ParseError, Root, SyntaxKind, SyntaxNode};
use rowan::ast::AstNode as _;

use super::file::NixFile;
use crate::failure::Failure;

const BOM: &str = "\u{feff}";

/// A file and its tree. Offsets are those of `text`, which lacks the byte order mark.
pub(super) struct Source {
    pub path: String,
    pub bom: &'static str,
    pub text: String,
    pub root: Root,
}

impl Source {
    pub fn parse(file: &NixFile) -> Result<Self, Failure> {
        let (bom, text) = file.text.strip_prefix(BOM).map_or(("", &*file.text), |rest| (BOM, rest));
        let parsed = Root::parse(text);
        if let Some(error) = parsed.errors().first() {
            return Err(syntax_error(&file.path, text, error));
        }
        Ok(Self { path: file.path.clone(), bom, text: text.to_owned(), root: parsed.tree() })
    }

    /// The line, from 1, that an offset is on.
    pub fn line(&self, offset: usize) -> usize {
        line_and_column(&self.text, offset).0
    }

    /// `path:line`, as messages name a place.
    pub fn place(&self, offset: usize) -> String {
        format!("{}:{}", self.path, self.line(offset))
    }
}

fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..offset];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

fn syntax_error(path: &str, text: &str, error: &ParseError) -> Failure {
    let range = match error {
        ParseError::Unexpected(range)
        | ParseError::UnexpectedExtra(range)
        | ParseError::UnexpectedWanted(_, range, _)
        | ParseError::UnexpectedDoubleBind(range)
        | ParseError::DuplicatedArgs(range, _) => Some(*range),
        _ => None,
    };
    let wanted = match error {
        ParseError::UnexpectedWanted(_, _, kinds) | ParseError::UnexpectedEOFWanted(kinds) => {
            kinds.iter().find_map(|kind| sign(*kind))
        }
        _ => None,
    };
    let start = range.map_or(text.len(), |range| usize::from(range.start()));
    let found = match range {
        _ if matches!(error, ParseError::RecursionLimitExceeded) => "too deep a nesting".to_owned(),
        Some(range) if !range.is_empty() => excerpt(&text[std::ops::Range::<usize>::from(range)]),
        _ => "the end of the file".to_owned(),
    };
    let (line, column) = line_and_column(text, start);
    let wanted = wanted.map_or("Nix syntax".to_owned(), |sign| format!("`{sign}`"));
    Failure::failed(format!("expected {wanted} at `{path}:{line}:{column}`, found {found}"))
}

/// How a token that the parser missed is written.
fn sign(kind: SyntaxKind) -> Option<&'static str> {
    Some(match kind {
        SyntaxKind::TOKEN_SEMICOLON => ";",
        SyntaxKind::TOKEN_R_BRACE => "}",
        SyntaxKind::TOKEN_R_BRACK => "]",
        SyntaxKind::TOKEN_R_PAREN => ")",
        SyntaxKind::TOKEN_ASSIGN => "=",
        SyntaxKind::TOKEN_COLON => ":",
        SyntaxKind::TOKEN_COMMA => ",",
        SyntaxKind::TOKEN_IN => "in",
        SyntaxKind::TOKEN_THEN => "then",
        SyntaxKind::TOKEN_ELSE => "else",
        _ => return None,
    })
}

/// Code as a message quotes it: on one line, in backticks, not too long.
pub(super) fn excerpt(code: &str) -> String {
    let line = code.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(48) {
        Some((cut, _)) => format!("`{}…`", &line[..cut]),
        None => format!("`{line}`"),
    }
}

/// Where a node starts.
pub(super) fn start(node: &SyntaxNode) -> usize {
    usize::from(node.text_range().start())
}

/// The characters between a string's quotes.
pub(super) fn content(string: &ast::Str) -> std::ops::Range<usize> {
    let token = |kind| {
        string
            .syntax()
            .children_with_tokens()
            .filter_map(|child| child.into_token())
            .find(move |token| token.kind() == kind)
    };
    let range = string.syntax().text_range();
    let from = token(SyntaxKind::TOKEN_STRING_START)
        .map_or(range.start(), |token| token.text_range().end());
    let to =
        token(SyntaxKind::TOKEN_STRING_END).map_or(range.end(), |token| token.text_range().start());
    usize::from(from)..usize::from(to)
}

/// Is what stands between the quotes, apart from interpolations, the value itself?
pub(super) fn is_verbatim(string: &ast::Str) -> bool {
    let indented = string.syntax().first_token().is_some_and(|token| token.text() == "''");
    string.parts().enumerate().all(|(i, part)| match part {
        InterpolPart::Interpolation(_) => true,
        InterpolPart::Literal(part) => {
            let text = part.syntax().text();
            let stripped = i == 0 && text.starts_with(' ');
            !text.contains('\\') && !(indented && (stripped || text.contains(['\n', '\''])))
        }
    })
}

/// The value of a string without escapes or interpolations.
pub(super) fn plain(string: &ast::Str) -> Option<String> {
    let mut text = String::new();
    for part in string.parts() {
        match part {
            InterpolPart::Literal(part) => text.push_str(part.syntax().text()),
            InterpolPart::Interpolation(_) => return None,
        }
    }
    is_verbatim(string).then_some(text)
}

/// The name of one part of an attribute path, unless it is computed.
pub(super) fn key(attr: &ast::Attr) -> Option<String> {
    match attr {
        ast::Attr::Ident(ident) => Some(ident.syntax().text().to_string()),
        ast::Attr::Str(string) => plain(string),
        ast::Attr::Dynamic(_) => None,
    }
}

/// The names of an attribute path; none if one of them is computed.
pub(super) fn keys(path: Option<ast::Attrpath>) -> Option<Vec<String>> {
    path?.attrs().map(|attr| key(&attr)).collect()
}

/// The expression inside any number of parentheses.
pub(super) fn unparenthesised(mut expr: Expr) -> Expr {
    while let Expr::Paren(paren) = &expr {
        match paren.expr() {
            Some(inner) => expr = inner,
            None => break,
        }
    }
    expr
}

/// The last part of the name of what is called: `fetchFromGitHub` for `pkgs.fetchFromGitHub {…}`.
pub(super) fn callee(call: &ast::Apply) -> Option<String> {
    match unparenthesised(call.lambda()?) {
        Expr::Ident(ident) => Some(ident.syntax().text().to_string()),
        Expr::Select(select) => keys(select.attrpath())?.pop(),
        Expr::Apply(inner) => callee(&inner),
        _ => None,
    }
}

/// The entries of an attribute set or of a `let`.
pub(super) fn entries(scope: &SyntaxNode) -> impl Iterator<Item = ast::Entry> + use<> {
    scope.children().filter_map(ast::Entry::cast)
}

/// The bindings `name = …;` and `inherit name;` of a set, by the offset of each.
pub(super) fn bindings_of(set: &ast::AttrSet, name: &str) -> Vec<usize> {
    set.entries()
        .flat_map(|entry| match entry {
            ast::Entry::AttrpathValue(binding) => {
                let matches = keys(binding.attrpath()).is_some_and(|keys| keys[0] == name);
                if matches { vec![start(binding.syntax())] } else { Vec::new() }
            }
            ast::Entry::Inherit(inherit) => inherit
                .attrs()
                .filter(|attr| key(attr).as_deref() == Some(name))
                .map(|attr| start(attr.syntax()))
                .collect(),
        })
        .collect()
}

//! All the files that are edited together, parsed: places and nodes in them. What a node stands for
//! is for `scope`.

use rnix::ast::{self, Expr};
use rowan::ast::AstNode as _;

use super::file::NixFile;
use super::syntax::Source;
use crate::failure::Failure;

/// All the files that are edited together.
pub(super) struct Sources(pub Vec<Source>);

/// An expression and the index of its file.
#[derive(Debug, Clone)]
pub(super) struct Code {
    pub file: usize,
    pub expr: Expr,
}

/// A string literal that can be replaced: the characters between its quotes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Literal {
    pub file: usize,
    pub start: usize,
    pub text: String,
}

impl Sources {
    pub fn parse(files: &[NixFile]) -> Result<Self, Failure> {
        files.iter().map(Source::parse).collect::<Result<_, _>>().map(Self)
    }

    pub fn place(&self, file: usize, offset: usize) -> String {
        self.0[file].place(offset)
    }

    pub fn place_of(&self, literal: &Literal) -> String {
        self.place(literal.file, literal.start)
    }

    /// All nodes of one kind, with the index of their file.
    pub fn all<N: ast::AstNode + 'static>(&self) -> impl Iterator<Item = (usize, N)> + '_ {
        self.0.iter().enumerate().flat_map(|(file, source)| {
            source.root.syntax().descendants().filter_map(N::cast).map(move |node| (file, node))
        })
    }
}

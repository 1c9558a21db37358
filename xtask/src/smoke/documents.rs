//! The GraphQL documents in the scripts of the web UI: operations, and the fragments that they are
//! made of, wherever in the scripts those are.
//!
//! A document is what a string, an array of strings or a template says if it begins like one
//! (spec.graphql.org, "Language"): compilers make an array of what was a template. Fragments are
//! put into templates as values, so what stands between two pieces says nothing by itself. Whether
//! a document means anything is for `ui_operations.rs` to ask.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::javascript::{Token, scan};

/// One operation or fragment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Definition {
    pub name: String,
    /// `query`, `mutation`, `subscription` or `fragment`.
    #[serde(skip)]
    pub kind: &'static str,
    pub text: String,
    /// The fragments that it names itself.
    #[serde(skip)]
    pub spreads: BTreeSet<String>,
    /// What an operation is given, in its order.
    #[serde(skip)]
    pub variables: Vec<Variable>,
    /// The first field that is asked for.
    #[serde(skip)]
    pub field: String,
    /// The script that it is in, below the UI's directory.
    pub script: String,
}

/// A variable of an operation, and its type, as `ids` and `[ID!]!`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    pub name: String,
    pub kind: String,
}

/// What the scripts of a UI ask for.
#[derive(Debug, Default)]
pub struct Documents {
    pub scripts: usize,
    /// In the order of scripts; one that is in several scripts, once.
    pub operations: Vec<Definition>,
    pub fragments: BTreeMap<String, Definition>,
    /// What could not be read, and why.
    pub unread: Vec<String>,
}

impl Documents {
    /// Reads every script below a directory.
    pub fn read(dir: &Path) -> Result<Self> {
        let mut documents = Self::default();
        for path in scripts(dir)? {
            let bytes =
                fs::read(&path).with_context(|| format!("failed to read `{}`", path.display()))?;
            let name = path.strip_prefix(dir).unwrap_or(&path).display().to_string();
            documents.scripts += 1;
            documents.add(&name, &String::from_utf8_lossy(&bytes));
        }
        Ok(documents)
    }

    fn add(&mut self, script: &str, text: &str) {
        let mut found = Vec::new();
        let mut array = Array::default();
        let scanned = scan(text, &mut |token| array.take(token, &mut found));
        array.end(&mut found);
        if let Err(lost) = scanned {
            self.unread.push(format!("`{script}`: {lost}"));
        }
        for text in found.iter().filter(|text| begins_like_a_document(text)) {
            match definitions(text, script) {
                Some(definitions) => definitions.into_iter().for_each(|own| self.define(own)),
                None => {
                    let start: String =
                        text.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
                    self.unread.push(format!("`{script}`: `{start}` does not end"));
                }
            }
        }
    }

    fn define(&mut self, definition: Definition) {
        if definition.kind != "fragment" {
            let is_same = |other: &Definition| other.text == definition.text;
            if !self.operations.iter().any(is_same) {
                self.operations.push(definition);
            }
            return;
        }
        match self.fragments.get(&definition.name) {
            Some(other) if other.text != definition.text => self.unread.push(format!(
                "fragment `{}` of `{}` is another one than that of `{}`",
                definition.name, definition.script, other.script
            )),
            Some(_) => {}
            None => {
                self.fragments.insert(definition.name.clone(), definition);
            }
        }
    }

    /// The fragments that a definition needs, those of fragments included. `Err`: one that is in no
    /// script.
    pub fn needed_by(&self, definition: &Definition) -> Result<Vec<&Definition>, String> {
        let mut needed: BTreeMap<&str, &Definition> = BTreeMap::new();
        let mut open: Vec<&str> = definition.spreads.iter().map(String::as_str).collect();
        while let Some(name) = open.pop() {
            if needed.contains_key(name) {
                continue;
            }
            let fragment = self.fragments.get(name).ok_or_else(|| name.to_owned())?;
            open.extend(fragment.spreads.iter().map(String::as_str));
            needed.insert(name, fragment);
        }
        Ok(needed.into_values().collect())
    }
}

impl Definition {
    /// Its text, which asks for the type of every object, too, as the UI's client does: not for
    /// that of the root, of which a subscription may ask one thing only.
    pub fn with_types(&self) -> String {
        let mut text = String::new();
        let (mut depth, mut done) = (0usize, 0);
        let mut is_root = self.kind != "fragment";
        for (lexeme, place) in lexemes(&self.text) {
            match lexeme {
                // Braces in parentheses are values.
                Lexeme::Mark(b'(') => depth += 1,
                Lexeme::Mark(b')') => depth = depth.saturating_sub(1),
                Lexeme::Mark(b'{') if depth == 0 && !std::mem::take(&mut is_root) => {
                    text.push_str(&self.text[done..place.end]);
                    text.push_str(" __typename ");
                    done = place.end;
                }
                _ => {}
            }
        }
        text + &self.text[done..]
    }
}

/// Collects the strings of arrays.
#[derive(Default)]
struct Array {
    texts: Option<Vec<String>>,
    is_separated: bool,
}

impl Array {
    fn take(&mut self, token: Token<'_>, found: &mut Vec<String>) {
        match (token, &mut self.texts) {
            (Token::Text(text), Some(texts)) if self.is_separated => {
                texts.push(text);
                self.is_separated = false;
            }
            (Token::Mark(','), Some(_)) if !self.is_separated => self.is_separated = true,
            (Token::Mark(']'), Some(texts)) => {
                found.push(texts.join("\n"));
                self.texts = None;
            }
            (token, _) => {
                self.end(found);
                match token {
                    Token::Text(text) => found.push(text),
                    Token::Template(pieces) => found.push(pieces.join("\n")),
                    Token::Mark('[') => {
                        self.texts = Some(Vec::new());
                        self.is_separated = true;
                    }
                    Token::Word(_) | Token::Mark(_) => {}
                }
            }
        }
    }

    /// It was no array of strings: each is by itself.
    fn end(&mut self, found: &mut Vec<String>) {
        found.extend(self.texts.take().into_iter().flatten());
    }
}

fn scripts(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut scripts = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        let failed = || format!("failed to list `{}`", dir.display());
        for entry in fs::read_dir(&dir).with_context(failed)? {
            let path = entry.with_context(failed)?.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "js") {
                scripts.push(path);
            }
        }
    }
    scripts.sort();
    Ok(scripts)
}

/// A token of GraphQL, with where it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lexeme<'t> {
    Name(&'t str),
    Spread,
    Mark(u8),
    /// A string; what it says is of no interest.
    Text,
}

/// The tokens of a document, each with its place. Ends early where a string does not end.
fn lexemes(text: &str) -> Vec<(Lexeme<'_>, Range<usize>)> {
    let bytes = text.as_bytes();
    let mut lexemes = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let rest = &text[at..];
        let end = |is_part: fn(u8) -> bool| {
            at + rest.bytes().position(|byte| !is_part(byte)).unwrap_or(rest.len())
        };
        let (lexeme, to) = match byte {
            b'#' => (None, at + rest.find('\n').unwrap_or(rest.len())),
            b'"' => match string_end(rest) {
                Some(length) => (Some(Lexeme::Text), at + length),
                None => break,
            },
            _ if is_name(byte) => {
                let end = end(is_name);
                (Some(Lexeme::Name(&text[at..end])), end)
            }
            _ if rest.starts_with("...") => (Some(Lexeme::Spread), at + 3),
            b',' => (None, at + 1),
            _ if byte.is_ascii_whitespace() || !byte.is_ascii() => {
                (None, end(|byte| byte.is_ascii_whitespace() || !byte.is_ascii()))
            }
            _ => (Some(Lexeme::Mark(byte)), at + 1),
        };
        lexemes.extend(lexeme.map(|lexeme| (lexeme, at..to)));
        at = to;
    }
    lexemes
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// How long the string is that a text begins with.
fn string_end(text: &str) -> Option<usize> {
    if let Some(block) = text.strip_prefix("\"\"\"") {
        return block.find("\"\"\"").map(|end| end + 6);
    }
    let bytes = text.as_bytes();
    let mut at = 1;
    loop {
        match bytes.get(at)? {
            b'\\' => at += 2,
            b'"' => return Some(at + 1),
            _ => at += 1,
        }
    }
}

/// Does a text begin with a named operation or fragment?
fn begins_like_a_document(text: &str) -> bool {
    // Most texts are something else: not worth to be read.
    let start = text.trim_start();
    let is_comment = start.starts_with('#');
    if !is_comment && KINDS.iter().all(|kind| !start.starts_with(kind)) {
        return false;
    }
    use Lexeme::{Mark, Name};
    let first: Vec<Lexeme<'_>> =
        lexemes(text).into_iter().take(4).map(|(lexeme, _)| lexeme).collect();
    match first[..] {
        [Name("fragment"), Name(_), Name("on"), Name(_)] => true,
        [Name(kind), Name(_), Mark(b'(' | b'{' | b'@'), ..] => KINDS[..3].contains(&kind),
        _ => false,
    }
}

const KINDS: [&str; 4] = ["query", "mutation", "subscription", "fragment"];

/// The definitions of a document, by their braces. `None`: one of them does not end, or what is
/// between two of them is no definition.
fn definitions(text: &str, script: &str) -> Option<Vec<Definition>> {
    let lexemes = lexemes(text);
    let mut definitions = Vec::new();
    let mut rest = &lexemes[..];
    while let [(Lexeme::Name(word), start), (Lexeme::Name(name), _), ..] = rest {
        let kind = *KINDS.iter().find(|kind| *kind == word)?;
        let length = definition_length(rest)?;
        let (own, after) = rest.split_at(length);
        let spreads = own.windows(2).filter_map(|pair| match (pair[0].0, pair[1].0) {
            (Lexeme::Spread, Lexeme::Name(name)) if name != "on" => Some(name.to_owned()),
            _ => None,
        });
        definitions.push(Definition {
            name: (*name).to_owned(),
            kind,
            text: text[start.start..own.last()?.1.end].to_owned(),
            spreads: spreads.collect(),
            variables: variables(own),
            field: first_field(own),
            script: script.to_owned(),
        });
        rest = after;
    }
    rest.is_empty().then_some(definitions)
}

/// The first field that a definition selects: `b` of `a: b`.
fn first_field(lexemes: &[(Lexeme<'_>, Range<usize>)]) -> String {
    let mut depth = 0usize;
    let selected = lexemes.iter().map(|(lexeme, _)| *lexeme).skip_while(|lexeme| {
        match lexeme {
            Lexeme::Mark(b'(') => depth += 1,
            Lexeme::Mark(b')') => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > 0 || *lexeme != Lexeme::Mark(b'{')
    });
    match selected.skip(1).take(3).collect::<Vec<_>>()[..] {
        [Lexeme::Name(_), Lexeme::Mark(b':'), Lexeme::Name(name)] | [Lexeme::Name(name), ..] => {
            name.to_owned()
        }
        _ => String::new(),
    }
}

/// The variables that a definition declares: `$name: Type`, each with or without more behind it.
fn variables(lexemes: &[(Lexeme<'_>, Range<usize>)]) -> Vec<Variable> {
    let mut variables = Vec::new();
    // They are declared in parentheses before what is selected; nothing else there has a colon
    // behind a `$name`.
    let mut rest = lexemes.iter().map(|(lexeme, _)| *lexeme).peekable();
    let mut depth = 0usize;
    while let Some(lexeme) = rest.next() {
        match lexeme {
            Lexeme::Mark(b'{') if depth == 0 => break,
            Lexeme::Mark(b'(') => depth += 1,
            Lexeme::Mark(b')') => depth = depth.saturating_sub(1),
            _ => {}
        }
        let Lexeme::Mark(b'$') = lexeme else { continue };
        let Some(Lexeme::Name(name)) = rest.next() else { continue };
        if rest.next_if_eq(&Lexeme::Mark(b':')).is_none() {
            continue;
        }
        let mut kind = String::new();
        while let Some(lexeme) = rest.next_if(|lexeme| is_of_type(&kind, *lexeme)) {
            match lexeme {
                Lexeme::Name(name) => kind.push_str(name),
                Lexeme::Mark(mark) => kind.push(char::from(mark)),
                Lexeme::Spread | Lexeme::Text => {}
            }
        }
        variables.push(Variable { name: name.to_owned(), kind });
    }
    variables
}

/// Does a type go on with a token?
fn is_of_type(kind: &str, lexeme: Lexeme<'_>) -> bool {
    match lexeme {
        Lexeme::Name(_) => kind.bytes().all(|byte| byte == b'['),
        Lexeme::Mark(b'[') => kind.bytes().all(|byte| byte == b'['),
        Lexeme::Mark(b']' | b'!') => !kind.is_empty(),
        _ => false,
    }
}

/// The tokens up to the brace that closes the first one that is not inside of another bracket.
fn definition_length(lexemes: &[(Lexeme<'_>, Range<usize>)]) -> Option<usize> {
    let mut depth = 0usize;
    for (index, (lexeme, _)) in lexemes.iter().enumerate() {
        match lexeme {
            Lexeme::Mark(b'(' | b'[' | b'{') => depth += 1,
            Lexeme::Mark(b')' | b']' | b'}') => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 && *lexeme == Lexeme::Mark(b'}') {
            return Some(index + 1);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(script: &str) -> Documents {
        let mut documents = Documents::default();
        documents.add("a.js", script);
        documents
    }

    #[test]
    fn variables_have_types() {
        let check = |text: &str, expect: &str| {
            let documents = read(&format!("\"{text}\""));
            let variables = documents.operations[0].variables.iter();
            let found: Vec<String> =
                variables.map(|variable| format!("{}: {}", variable.name, variable.kind)).collect();
            assert_eq!(found.join(", "), expect, "{text}");
        };
        check("query A { a(x: 1) }", "");
        check("query A($a: ID!, $b: [[B!]]!) { a(a: $a) }", "a: ID!, b: [[B!]]!");
        check("query A($a:A=[{b:1}]$b:Int=3 $c:C@d(e:$f)){a}", "a: A, b: Int, c: C");
    }

    #[test]
    fn the_first_field_is_not_its_alias() {
        for (text, expect) in [
            ("mutation A($a: B = {c: 1}) @x(y: {z: 1}) { d(a: $a) { e } }", "d"),
            ("mutation A { a: b { c } }", "b"),
            ("mutation A { ...F }", ""),
        ] {
            assert_eq!(read(&format!("\"{text}\"")).operations[0].field, expect, "{text}");
        }
    }

    #[test]
    fn types_are_asked_for() {
        let documents =
            read("'query A($a: A = {b: 1}) { a(b: {c: $a}) { ...F } } fragment F on T {f { g }}'");
        assert_eq!(
            documents.operations[0].with_types(),
            "query A($a: A = {b: 1}) { a(b: {c: $a}) { __typename  ...F } }"
        );
        assert_eq!(
            documents.fragments["F"].with_types(),
            "fragment F on T { __typename f { __typename  g }}"
        );
    }

    /// Each operation with its fragments, then what could not be read.
    fn check(script: &str, expect: &str) {
        let documents = read(script);
        let operations = documents.operations.iter().map(|operation| {
            let needed = match documents.needed_by(operation) {
                Ok(needed) => needed.iter().map(|fragment| &*fragment.name).collect(),
                Err(missing) => vec![format!("no {missing}").leak() as &str],
            };
            format!("{} {}: {}", operation.kind, operation.name, needed.join(" "))
        });
        let found: Vec<String> = operations.chain(documents.unread.iter().cloned()).collect();
        assert_eq!(found.join("\n"), expect, "{script}");
    }

    #[test]
    fn documents_are_in_strings_arrays_and_templates() {
        check(
            r#"let a=g(["\n  query A($x: X = {y: [1]}) { a(x: $x) @skip(if: $x) { ...F } }","\n"]),
            b=["fragment F on T { f(s: \"}\") ...G }"],c='fragment G on T { g ... on U { h } }';"#,
            "query A: F G",
        );
        check("g`mutation B { b { ...F } }\n${F}`", "mutation B: no F");
        check("g`# what\nsubscription C @d { c }\nfragment F on T { f }`", "subscription C: ");
        check(r#"f("query A { a }", "words")"#, "query A: ");
        check(r#"f(["query A { a }", x])"#, "query A: ");
        check(r#"f(["fragment F on T {", "f }", "query A { ...F }"])"#, "query A: F");
    }

    #[test]
    fn what_is_no_document_is_left_alone() {
        check(r#"["query", "mutation", "on"]; "query of a"; "{ version }"; "fragment on T""#, "");
        check(r#"`query ${name} { a }`; "query A(" + b"#, "`a.js`: `query A(` does not end");
        check("'a", "`a.js`: the string that begins at byte 0 does not end");
    }

    #[test]
    fn the_same_twice_is_one() {
        check(r#"["query A { a }"]; ["query A { a }"]"#, "query A: ");
        check(
            r#"["fragment F on T { f }"]; ["fragment F on T { g }"]; ["query A { ...F }"]"#,
            "query A: F\nfragment `F` of `a.js` is another one than that of `a.js`",
        );
    }
}

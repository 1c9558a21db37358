//! The files that the web UI loads when somebody needs them: webpack's runtime script makes their
//! names of a map, and Next.js lists those of its pages in `_buildManifest.js`. Each must be a file
//! that the distribution recorded, or a page of the UI breaks on its way.
//!
//! The runtime's functions are read, not run: `r.u = e => "static/chunks/" + ({1: "a"}[e] || e) +
//! "." + {1: "9f"}[e] + ".js"`, and `r.miniCssF` of style sheets likewise. One that is written in
//! another way cannot be read, which is no fault of what it names.

use std::collections::BTreeMap;

use super::javascript::{Token, scan};

/// Functions of webpack's runtime that name a file.
const FUNCTIONS: [&str; 2] = ["u", "miniCssF"];
/// How what they name begins, below `_next/`.
const STATIC: &str = "static/";

/// Is a file of the UI, by its path, the runtime script of webpack's?
pub fn is_runtime(path: &str) -> bool {
    path.starts_with("_next/static/chunks/webpack-") && path.ends_with(".js")
}

/// Is it the list of the pages' files?
pub fn is_manifest(path: &str) -> bool {
    path.starts_with("_next/static/") && path.ends_with("/_buildManifest.js")
}

/// The paths that the runtime script may load, or why they cannot be told. Of what has a style
/// sheet only that: it may have no script, though the map of scripts has a name for it.
///
/// # Errors
/// Says what is not as expected.
pub fn named_by_runtime(script: &str) -> Result<Vec<String>, String> {
    let tokens = tokens(script)?;
    let mut found: Vec<(String, String)> = Vec::new();
    for function in FUNCTIONS {
        let begins = |part: &[Token<'_>]| {
            part == [Token::Mark('.'), Token::Word(function), Token::Mark('=')]
        };
        let Some(at) = tokens.windows(3).position(begins) else {
            return Err(format!("no function `{function}`"));
        };
        let mut reader = Reader { tokens: &tokens, at: at + 3 };
        let names = reader.function().ok_or(format!("function `{function}` is another one"))?;
        if !names.iter().all(|(_, name)| name.starts_with(STATIC)) || names.is_empty() {
            return Err(format!("function `{function}` names none of `{STATIC}`"));
        }
        // The later function is that of style sheets.
        found.retain(|(key, _)| !names.iter().any(|(other, _)| other == key));
        found.extend(names);
    }
    Ok(found.into_iter().map(|(_, name)| format!("_next/{name}")).collect())
}

/// The paths in the list of the pages' files.
///
/// # Errors
/// When there are none.
pub fn named_by_manifest(script: &str) -> Result<Vec<String>, String> {
    let paths: Vec<String> = tokens(script)?
        .into_iter()
        .filter_map(|token| match token {
            Token::Text(text) if text.starts_with(STATIC) => Some(format!("_next/{text}")),
            _ => None,
        })
        .collect();
    if paths.is_empty() { Err(format!("nothing of `{STATIC}`")) } else { Ok(paths) }
}

fn tokens(script: &str) -> Result<Vec<Token<'_>>, String> {
    let mut tokens = Vec::new();
    scan(script, &mut |token| tokens.push(token))?;
    Ok(tokens)
}

/// A piece of what the function makes of its argument.
enum Piece {
    Text(String),
    Argument,
    /// The value of a map, and the argument itself where that has none, if that is said.
    Map(BTreeMap<String, String>, bool),
}

struct Reader<'t> {
    tokens: &'t [Token<'t>],
    at: usize,
}

impl<'t> Reader<'t> {
    /// The keys of a function's maps that have a value for all, and what it makes of each.
    fn function(&mut self) -> Option<Vec<(String, String)>> {
        let argument = if self.word_is("function") {
            self.mark('(')?;
            let argument = self.word()?;
            for mark in [')', '{'] {
                self.mark(mark)?;
            }
            self.word_is("return").then_some(argument)?
        } else {
            let argument = self.word()?;
            self.mark('=')?;
            self.mark('>')?;
            argument
        };
        let mut pieces = vec![self.piece(argument)?];
        while self.mark('+').is_some() {
            pieces.push(self.piece(argument)?);
        }
        // Else it goes on with something that is not known here.
        let ends = [Token::Mark(','), Token::Mark(';'), Token::Mark('}')];
        ends.contains(self.tokens.get(self.at)?).then_some(())?;
        let maps = pieces.iter().filter_map(|piece| match piece {
            Piece::Map(map, false) => Some(map),
            _ => None,
        });
        let maps: Vec<_> = maps.collect();
        let keys = maps.first()?.keys().filter(|key| maps.iter().all(|map| map.contains_key(*key)));
        let name = |key: &String| pieces.iter().map(|piece| piece.of(key)).collect();
        Some(keys.map(|key| (key.clone(), name(key))).collect())
    }

    fn piece(&mut self, argument: &str) -> Option<Piece> {
        if let Some(Token::Text(text)) = self.tokens.get(self.at) {
            self.at += 1;
            return Some(Piece::Text(text.clone()));
        }
        if self.word_is(argument) {
            return Some(Piece::Argument);
        }
        let mut open = 0;
        while self.mark('(').is_some() {
            open += 1;
        }
        let map = self.map()?;
        // `(({…})[e]||e)` or `({…})[e]`.
        let mut closed = usize::from(self.mark(')').is_some());
        self.mark('[')?;
        self.word_is(argument).then_some(())?;
        self.mark(']')?;
        let has_other = self.mark('|').is_some();
        if has_other {
            self.mark('|')?;
            self.word_is(argument).then_some(())?;
        }
        while closed < open {
            self.mark(')')?;
            closed += 1;
        }
        Some(Piece::Map(map, has_other))
    }

    fn map(&mut self) -> Option<BTreeMap<String, String>> {
        self.mark('{')?;
        let mut map = BTreeMap::new();
        while self.mark('}').is_none() {
            let key = match self.tokens.get(self.at)? {
                Token::Word(word) => number(word),
                Token::Text(text) => text.clone(),
                _ => return None,
            };
            self.at += 1;
            self.mark(':')?;
            let Token::Text(value) = self.tokens.get(self.at)? else { return None };
            self.at += 1;
            map.insert(key, value.clone());
            if self.mark(',').is_none() {
                self.mark('}')?;
                break;
            }
        }
        Some(map)
    }

    fn mark(&mut self, mark: char) -> Option<()> {
        (self.tokens.get(self.at)? == &Token::Mark(mark)).then(|| self.at += 1)
    }

    fn word(&mut self) -> Option<&'t str> {
        let Token::Word(word) = self.tokens.get(self.at)? else { return None };
        self.at += 1;
        Some(word)
    }

    fn word_is(&mut self, word: &str) -> bool {
        let is_it = self.tokens.get(self.at) == Some(&Token::Word(word));
        self.at += usize::from(is_it);
        is_it
    }
}

impl Piece {
    fn of(&self, key: &str) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Argument => key.to_owned(),
            Self::Map(map, _) => map.get(key).map_or_else(|| key.to_owned(), String::clone),
        }
    }
}

/// A key as a script has it in mind: minifiers write 1000 as `1e3`.
fn number(word: &str) -> String {
    match word.parse::<f64>() {
        Ok(number) if word.starts_with(|c: char| c.is_ascii_digit()) => number.to_string(),
        _ => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_names_files() {
        let arrow = r#"r.u=e=>"static/chunks/"+(({860:"icons"})[e]||e)+"."+
            ({860:"a",1e3:"b",7:"x"})[e]+".js",r.miniCssF=e=>"static/css/"+
            ({7:"c"})[e]+".css",r.g=1"#;
        let function = r#"p.u=function(e){return"static/chunks/"+({860:"icons"}[e]||e)+"."+
            {860:"a","1000":"b"}[e]+".js"},p.miniCssF=function(e){return"static/css/"+{7:"c",}[e]+
            ".css"};"#;
        let expected = [
            "_next/static/chunks/1000.b.js",
            "_next/static/chunks/icons.a.js",
            "_next/static/css/c.css",
        ];
        for script in [arrow, function] {
            assert_eq!(named_by_runtime(script).unwrap(), expected, "{script}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        for (script, expected) in [
            ("r.x=1", "no function `u`"),
            (
                r#"r.u=e=>1===e?"static/a.js":"static/"+({2:"b"})[e],"#,
                "function `u` is another one",
            ),
            (r#"r.u=(e)=>"static/"+e,"#, "function `u` is another one"),
            (r#"r.u=e=>"static/"+e+".js","#, "function `u` is another one"),
            (r#"r.u=e=>"static/"+({2:"b"})[e].x,"#, "function `u` is another one"),
            (r#"r.u=e=>"dynamic/"+({2:"b"})[e],"#, "function `u` names none of `static/`"),
        ] {
            assert_eq!(named_by_runtime(script).unwrap_err(), expected, "{script}");
        }
        assert!(named_by_runtime("r.u='").is_err());
    }

    #[test]
    fn a_manifest_names_files() {
        let script = r#"self.__BUILD_MANIFEST={__rewrites:{source:"/x/_next/:path+"},
            "/":["static/chunks/pages/index-1.js"],sortedPages:["/","/_app"]}"#;
        assert_eq!(named_by_manifest(script).unwrap(), ["_next/static/chunks/pages/index-1.js"]);
        assert_eq!(named_by_manifest("self.x={}").unwrap_err(), "nothing of `static/`");
    }

    #[test]
    fn files_are_known_by_their_names() {
        assert!(is_runtime("_next/static/chunks/webpack-58469c83a857a554.js"));
        assert!(!is_runtime("_next/static/chunks/main-58469c83a857a554.js"));
        assert!(is_manifest("_next/static/uVE0uoHxC2_zKUg9yAa5f/_buildManifest.js"));
        assert!(!is_manifest("_next/static/uVE0uoHxC2_zKUg9yAa5f/_ssgManifest.js"));
    }
}

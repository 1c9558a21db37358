//! Scripts as tokens: strings and templates with what they say, words, and all else as single
//! characters. Comments and regular expressions are recognised and left out.
//!
//! Not a parser. Whether a `/` divides or begins a regular expression is told by what is before it
//! (ECMA-262, "Lexical Grammar"): after `}` it is taken for the latter. A literal that does not end
//! is an error, so that a scanner that lost its way says so.

/// A token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token<'t> {
    /// A name, a keyword or a number.
    Word(&'t str),
    /// What a string says, or a template that no value is put into.
    Text(String),
    /// What the pieces of a template say: between two of them a value is put in. It begins at the
    /// `` ` `` told before it, and between the two are the tokens of the values.
    Template(Vec<String>),
    /// Any other character.
    Mark(char),
}

/// Keywords that a value follows: a `/` behind one of them begins a regular expression.
const BEFORE_VALUES: [&str; 13] = [
    "await",
    "case",
    "delete",
    "do",
    "else",
    "in",
    "instanceof",
    "of",
    "return",
    "throw",
    "typeof",
    "void",
    "yield",
];
/// Keywords whose parentheses are followed by a statement.
const BEFORE_STATEMENTS: [&str; 4] = ["for", "if", "while", "with"];

/// Tells each token of a script.
///
/// # Errors
/// Says what does not end, and where it began.
pub fn scan<'t>(text: &'t str, tell: &mut dyn FnMut(Token<'t>)) -> Result<(), String> {
    let mut scanner = Scanner { text, at: 0, tell, parentheses: Vec::new(), before: Before::Start };
    scanner.until(None)
}

/// What a `/` would follow.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Start,
    /// What can be divided.
    Operand,
    /// A keyword whose parentheses are followed by a statement.
    Statement,
    /// `.`: what follows is a name, whatever it looks like.
    Dot,
}

struct Scanner<'t, 'f> {
    text: &'t str,
    /// The byte that is next.
    at: usize,
    tell: &'f mut dyn FnMut(Token<'t>),
    /// Of each open parenthesis: is a statement to follow?
    parentheses: Vec<bool>,
    before: Before,
}

impl<'t> Scanner<'t, '_> {
    /// Scans to the end, or over the `}` that ends a value in the template that began there.
    fn until(&mut self, template: Option<usize>) -> Result<(), String> {
        let mut braces = 0usize;
        while let Some(&byte) = self.text.as_bytes().get(self.at) {
            match byte {
                b'"' | b'\'' => self.string(byte)?,
                b'`' => self.template()?,
                b'/' => self.slash()?,
                b'}' if template.is_some() && braces == 0 => {
                    self.at += 1;
                    return Ok(());
                }
                _ if is_word(byte) => self.word(),
                _ => {
                    match byte {
                        b'{' => braces += 1,
                        b'}' => braces = braces.saturating_sub(1),
                        _ => {}
                    }
                    self.mark();
                }
            }
        }
        template.map_or(Ok(()), |began| Err(unended("template", began)))
    }

    fn word(&mut self) {
        let rest = &self.text[self.at..];
        let end = rest.bytes().position(|byte| !is_word(byte)).unwrap_or(rest.len());
        let word = &rest[..end];
        self.at += end;
        self.before = match self.before {
            Before::Dot => Before::Operand,
            _ if BEFORE_VALUES.contains(&word) => Before::Start,
            _ if BEFORE_STATEMENTS.contains(&word) => Before::Statement,
            _ => Before::Operand,
        };
        (self.tell)(Token::Word(word));
    }

    fn mark(&mut self) {
        let rest = &self.text[self.at..];
        let Some(mark) = rest.chars().next() else { return };
        if mark.is_whitespace() {
            self.at += mark.len_utf8();
            return;
        }
        // `a++ / b`: what is before stays what it was.
        if rest.starts_with("++") || rest.starts_with("--") {
            self.at += 2;
            (self.tell)(Token::Mark(mark));
            (self.tell)(Token::Mark(mark));
            return;
        }
        let is_statement = self.before == Before::Statement;
        self.before = match mark {
            '(' => {
                self.parentheses.push(is_statement);
                Before::Start
            }
            ')' if self.parentheses.pop() == Some(true) => Before::Start,
            ')' | ']' => Before::Operand,
            '.' => Before::Dot,
            _ => Before::Start,
        };
        self.at += mark.len_utf8();
        (self.tell)(Token::Mark(mark));
    }

    /// A comment, a regular expression or a division.
    fn slash(&mut self) -> Result<(), String> {
        let rest = &self.text[self.at..];
        if rest.starts_with("//") {
            self.at += rest.find('\n').unwrap_or(rest.len());
        } else if let Some(inside) = rest.strip_prefix("/*") {
            self.at += inside.find("*/").ok_or_else(|| unended("comment", self.at))? + 4;
        } else if self.before == Before::Operand {
            self.mark();
        } else {
            self.regular_expression()?;
        }
        Ok(())
    }

    fn regular_expression(&mut self) -> Result<(), String> {
        let bytes = self.text.as_bytes();
        let (mut at, mut is_class) = (self.at + 1, false);
        loop {
            match bytes.get(at) {
                Some(b'\\') => at += 1,
                Some(b'[') => is_class = true,
                Some(b']') => is_class = false,
                Some(b'/') if !is_class => break,
                Some(b'\n') | None => return Err(unended("regular expression", self.at)),
                Some(_) => {}
            }
            at += 1;
        }
        at += 1;
        let flags = bytes[at..].iter().position(|&byte| !is_word(byte));
        self.at = flags.map_or(bytes.len(), |flags| at + flags);
        self.before = Before::Operand;
        Ok(())
    }

    fn string(&mut self, quote: u8) -> Result<(), String> {
        let began = self.at;
        let bytes = self.text.as_bytes();
        let mut at = began + 1;
        loop {
            match bytes.get(at) {
                Some(b'\\') => at += 1,
                Some(&byte) if byte == quote => break,
                Some(b'\n') | None => return Err(unended("string", began)),
                Some(_) => {}
            }
            at += 1;
        }
        self.at = at + 1;
        self.before = Before::Operand;
        (self.tell)(Token::Text(unescaped(&self.text[began + 1..at])));
        Ok(())
    }

    fn template(&mut self) -> Result<(), String> {
        let began = self.at;
        let mut pieces = Vec::new();
        self.at += 1;
        let mut piece = self.at;
        loop {
            match self.text.as_bytes().get(self.at) {
                Some(b'\\') => self.at += 2,
                Some(b'`') => break,
                Some(b'$') if self.text[self.at..].starts_with("${") => {
                    if pieces.is_empty() {
                        (self.tell)(Token::Mark('`'));
                    }
                    pieces.push(unescaped(&self.text[piece..self.at]));
                    self.at += 2;
                    self.before = Before::Start;
                    self.until(Some(began))?;
                    piece = self.at;
                }
                Some(_) => self.at += 1,
                None => return Err(unended("template", began)),
            }
        }
        let last = unescaped(&self.text[piece..self.at]);
        self.at += 1;
        self.before = Before::Operand;
        (self.tell)(if pieces.is_empty() {
            Token::Text(last)
        } else {
            pieces.push(last);
            Token::Template(pieces)
        });
        Ok(())
    }
}

fn unended(what: &str, began: usize) -> String {
    format!("the {what} that begins at byte {began} does not end")
}

/// Can a byte be part of a name or a number? Any beyond ASCII can: none of them is a token.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'#') || !byte.is_ascii()
}

/// What the inside of a literal says (ECMA-262, "String Literals").
fn unescaped(inside: &str) -> String {
    let mut text = String::with_capacity(inside.len());
    let mut rest = inside;
    while let Some((before, after)) = rest.split_once('\\') {
        text.push_str(before);
        let escape = after.chars().next().unwrap_or_default();
        rest = &after[escape.len_utf8().min(after.len())..];
        match escape {
            'n' => text.push('\n'),
            't' => text.push('\t'),
            'r' => text.push('\r'),
            'b' => text.push('\u{8}'),
            'f' => text.push('\u{c}'),
            'v' => text.push('\u{b}'),
            '0' => text.push('\0'),
            '\n' => {}
            'u' | 'x' => {
                let (code, after) = code_point(escape, rest);
                text.push(code);
                rest = after;
            }
            _ => text.push(escape),
        }
    }
    text.push_str(rest);
    text
}

/// The character of `\xXX`, `\uXXXX` or `\u{X…}`, with what follows. Halves of pairs are replaced:
/// nothing that is looked for is made of them.
fn code_point(escape: char, rest: &str) -> (char, &str) {
    let (digits, after) = match rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
        Some(braced) if escape == 'u' => braced,
        _ => rest.split_at_checked(if escape == 'u' { 4 } else { 2 }).unwrap_or((rest, "")),
    };
    let code = u32::from_str_radix(digits, 16).ok().and_then(char::from_u32);
    (code.unwrap_or(char::REPLACEMENT_CHARACTER), after)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tokens of a script, a word each; texts in quotes.
    fn check(script: &str, expect: &str) {
        let mut words = Vec::new();
        let lost = scan(script, &mut |token| {
            words.push(match token {
                Token::Word(word) => word.to_owned(),
                Token::Text(text) => format!("{text:?}"),
                Token::Template(pieces) => format!("{pieces:?}"),
                Token::Mark(mark) => mark.to_string(),
            });
        });
        let found = lost.map_or_else(|lost| lost, |()| words.join(" "));
        assert_eq!(found, expect, "{script}");
    }

    #[test]
    fn literals() {
        check(r#"f("a\"b", 'c"d')"#, r#"f ( "a\"b" , "c\"d" )"#);
        check(
            r#"'\x41\u0042\u{43}\n\q\
d'"#,
            r#""ABC\nqd""#,
        );
        check(r"'\ud83d\ude00 é'", "\"\u{fffd}\u{fffd} é\"");
        check("`a\n${b + `c${d}` + {e: 1}}f`", r#"` b + ` d ["c", ""] + { e : 1 } ["a\n", "f"]"#);
        check(r"`\`\${x}`", r#""`${x}""#);
        check("'a\nb'", "the string that begins at byte 0 does not end");
        check("1;`a${b", "the template that begins at byte 2 does not end");
        check("/* a", "the comment that begins at byte 0 does not end");
    }

    #[test]
    fn slashes() {
        check("a /b/ c // d\n/* ' */", "a / b / c");
        check("x = /[/']\\/\"/g.test('y')", r#"x = . test ( "y" )"#);
        check("return/'/.exec(a)", "return . exec ( a )");
        check("if(a)/'/.exec(b);f(a)/2/c", "if ( a ) . exec ( b ) ; f ( a ) / 2 / c");
        check("a.in/2/b[0]/3/(c)/d", "a . in / 2 / b [ 0 ] / 3 / ( c ) / d");
        check(
            "a++/2;b=1.5/c/d;`${e/f}`/g",
            "a + + / 2 ; b = 1 . 5 / c / d ; ` e / f [\"\", \"\"] / g",
        );
        check("{}/'/.exec(a)", "{ } . exec ( a )");
        check("x=/a\n/", "the regular expression that begins at byte 2 does not end");
    }
}

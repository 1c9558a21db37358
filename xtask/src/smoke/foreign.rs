//! Code that a page, a script or a style sheet takes from another host: the UI must work where
//! there is no other, and runs what it is given. Links and other data are nobody's business here.
//!
//! What is code, by an absolute address (`https://…`, `http://…` or `//…`) in
//! * a page: `src` of a script, a frame or what is embedded, the data of an object, the base of all
//!   addresses, a style sheet or anything that is loaded ahead; scripts and styles in the page;
//! * a script: what is imported, at once or later; a script of a worker or a worklet; what is put
//!   into a `src` or is webpack's public path; and any address that ends like a file of code;
//! * a style sheet: what it imports.

use super::javascript::{Token, scan};

/// What is put after an address of these is loaded as code.
const LOADERS: [&str; 5] = ["addModule", "import", "importScripts", "SharedWorker", "Worker"];
/// What a script sets to load code from there. `p` is webpack's public path.
const PLACES: [&str; 4] = ["src", "p", "publicPath", "__webpack_public_path__"];
const EXTENSIONS: [&str; 5] = ["cjs", "css", "js", "mjs", "wasm"];
/// Elements, and their attribute.
const ELEMENTS: [(&str, &str); 6] = [
    ("base", "href"),
    ("embed", "src"),
    ("frame", "src"),
    ("iframe", "src"),
    ("object", "data"),
    ("script", "src"),
];
/// What a `link` is for.
const LOADED: [&str; 4] = ["modulepreload", "prefetch", "preload", "stylesheet"];

/// An element of a page: its name and its attributes, with lower-case names.
pub struct Element<'t> {
    pub name: String,
    attributes: Vec<(String, &'t str)>,
    /// What is between its tags.
    pub text: &'t str,
}

impl Element<'_> {
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(own, _)| own == name).map(|(_, value)| *value)
    }

    /// Is it run, rather than data for scripts?
    pub fn is_script(&self) -> bool {
        let kind = self.attribute("type").unwrap_or_default();
        self.name == "script"
            && (kind.is_empty() || kind == "module" || kind.contains("javascript"))
    }

    /// The address that it loads code from.
    fn loads(&self) -> Option<&str> {
        if self.name == "link" {
            let rel = self.attribute("rel")?.to_ascii_lowercase();
            let is_loaded = rel.split_ascii_whitespace().any(|word| LOADED.contains(&word));
            return self.attribute("href").filter(|_| is_loaded);
        }
        let (_, attribute) = ELEMENTS.iter().find(|(name, _)| *name == self.name)?;
        self.attribute(attribute)
    }
}

/// The elements of a page. Text that looks like a tag inside of a script counts as one.
pub fn elements(html: &str) -> Vec<Element<'_>> {
    let tags = html.match_indices('<').filter_map(|(at, _)| {
        let rest = &html[at + 1..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-')?;
        let (name, rest) = rest.split_at(end);
        let (attributes, text) = attributes(rest);
        let text = &text[..text.find(&format!("</{name}")).unwrap_or(text.len())];
        let name = name.to_ascii_lowercase();
        Some(Element { name, attributes, text }).filter(|element| !element.name.is_empty())
    });
    tags.collect()
}

/// The attributes of a tag, and what is behind it.
fn attributes(mut rest: &str) -> (Vec<(String, &str)>, &str) {
    let mut attributes = Vec::new();
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
        let Some(end) = rest.find(|c: char| c.is_whitespace() || matches!(c, '=' | '>' | '/'))
        else {
            return (attributes, "");
        };
        let (name, after) = rest.split_at(end);
        if name.is_empty() && after.starts_with('>') {
            return (attributes, &after[1..]);
        }
        let (value, after) = match after.trim_start().strip_prefix('=') {
            Some(after) => value(after.trim_start()),
            None => ("", after),
        };
        attributes.push((name.to_ascii_lowercase(), value));
        rest = after;
    }
}

/// The value that a text begins with, and what is behind it.
fn value(text: &str) -> (&str, &str) {
    match text.chars().next() {
        Some(quote @ ('"' | '\'')) => text[1..].split_once(quote).unwrap_or((&text[1..], "")),
        _ => {
            text.split_at(text.find(|c: char| c.is_whitespace() || c == '>').unwrap_or(text.len()))
        }
    }
}

/// Code of other hosts that a page takes.
pub fn in_page(html: &str) -> Vec<String> {
    let mut found = Vec::new();
    for element in elements(html) {
        found.extend(element.loads().filter(|url| is_foreign(url)).map(str::to_owned));
        match &*element.name {
            "script" => found.extend(in_script(element.text)),
            "style" => found.extend(in_style(element.text)),
            _ => {}
        }
    }
    found
}

/// Code of other hosts that a style sheet takes.
pub fn in_style(css: &str) -> Vec<String> {
    let imports = css.match_indices("@import").filter_map(|(at, import)| {
        let rest = css[at + import.len()..].trim_start();
        let rest = rest.strip_prefix("url(").unwrap_or(rest).trim_start_matches(['"', '\'', ' ']);
        let end = rest.find(['"', '\'', ')', ';', ' ']).unwrap_or(rest.len());
        Some(&rest[..end]).filter(|url| is_foreign(url))
    });
    imports.map(str::to_owned).collect()
}

/// Code of other hosts that a script takes. What is behind a literal that does not end is not read.
pub fn in_script(script: &str) -> Vec<String> {
    let mut found = Vec::new();
    // The last three tokens, as words; and those before each template that has begun.
    let mut before: [String; 3] = Default::default();
    let mut templates = Vec::new();
    let _ = scan(script, &mut |token| {
        let (word, is_text) = match token {
            Token::Text(text) => (text, true),
            Token::Template(pieces) => {
                before = templates.pop().unwrap_or_default();
                (pieces.into_iter().next().unwrap_or_default(), true)
            }
            Token::Mark('`') => {
                templates.push(before.clone());
                ("`".to_owned(), false)
            }
            Token::Word(word) => (word.to_owned(), false),
            Token::Mark(mark) => (mark.to_string(), false),
        };
        if is_text && is_foreign(&word) && (is_loaded(&before) || is_file_of_code(&word)) {
            found.push(word.clone());
        }
        before.rotate_left(1);
        before[2] = word;
    });
    found
}

/// Is what follows these tokens loaded as code?
fn is_loaded(before: &[String; 3]) -> bool {
    let [_, name, last] = before.each_ref().map(String::as_str);
    match last {
        "(" => LOADERS.contains(&name),
        "=" => PLACES.contains(&name),
        // `setAttribute("src", "…")`
        "," => name == "src",
        "from" | "import" => true,
        _ => false,
    }
}

fn is_foreign(url: &str) -> bool {
    let url = url.trim_start();
    let start: String = url.chars().take(8).collect::<String>().to_ascii_lowercase();
    let host = ["https://", "http://", "//"]
        .iter()
        .find_map(|scheme| start.starts_with(scheme).then(|| &url[scheme.len()..]));
    host.is_some_and(|host| host.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '['))
}

/// Does the path of an address end like that of a file of code?
fn is_file_of_code(url: &str) -> bool {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let name = path.splitn(4, '/').nth(3).unwrap_or_default();
    name.rsplit_once('.').is_some_and(|(_, extension)| EXTENSIONS.contains(&extension))
}

/// What of a policy (w3.org/TR/CSP3) lets code of other hosts into a page.
pub fn in_policy(policy: &str) -> Vec<String> {
    let directives = policy.split(';').filter_map(|directive| {
        let (name, sources) = directive.trim().split_once(char::is_whitespace)?;
        let sources: Vec<&str> = sources.split_ascii_whitespace().collect();
        let is_of_code = ["default-src", "script-src", "script-src-elem", "worker-src"];
        // Hosts and schemes count for nothing then.
        let is_strict = sources.contains(&"'strict-dynamic'");
        let foreign = sources.into_iter().find(|source| !source.starts_with('\'') && !is_strict);
        foreign.filter(|_| is_of_code.contains(&name)).map(|source| format!("{name} {source}"))
    });
    directives.filter(|found| !found.ends_with(" data:") && !found.ends_with(" blob:")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts() {
        for script in [
            r#"import("https://x.invalid/a")"#,
            r#"import a from "//x.invalid/a""#,
            r#"export*from"https://x.invalid/a""#,
            r#"import"https://x.invalid/a";"#,
            r#"importScripts('HTTPS://x.invalid/a')"#,
            "new Worker(`https://x.invalid/${a}`)",
            r#"e.src="https://x.invalid/""#,
            r#"e.setAttribute("src","https://x.invalid/")"#,
            r#"r.p="https://x.invalid/_next/""#,
            r#"load("https://x.invalid/a/b.js?c#d")"#,
        ] {
            assert_eq!(in_script(script).len(), 1, "{script}");
        }
        for script in [
            r#"a={href:"https://docs.invalid/"}"#,
            r#"import("./a.js")"#,
            r#"a="http://www.w3.org/2000/svg";b="//|x""#,
            r#"e.src="/a.js""#,
            r#"// import("https://x.invalid/a.js")"#,
            r#"a="see https://x.invalid/a.js""#,
            r#"a="https://code.js""#,
        ] {
            assert_eq!(in_script(script), [""; 0], "{script}");
        }
    }

    #[test]
    fn pages_and_styles() {
        let page = r#"<a href="https://x.invalid/a.js"><link rel="icon" href=https://x.invalid/i>
            <link href='https://x.invalid/b' rel='StyleSheet'/><script defer src=//x.invalid/c
            nonce="n"></script><SCRIPT>import("https://x.invalid/d")</SCRIPT><base href="/">
            <style>@import url( "https://x.invalid/e") print; @import "/f"</style>
            <img src="https://x.invalid/g"><iframe src="https://x.invalid/h"></iframe>"#;
        let found = in_page(page).join(" ").replace("https://x.invalid", "");
        assert_eq!(found, "/b //x.invalid/c /d /e /h");
        let scripts = elements(page).into_iter().filter(|element| element.name == "script");
        let nonces: Vec<bool> = scripts.map(|own| own.attribute("nonce").is_some()).collect();
        assert_eq!(nonces, [true, false]);
    }

    #[test]
    fn policies() {
        let upstreams = "base-uri 'none'; script-src 'nonce-1' 'unsafe-inline' https: http: \
            'strict-dynamic'; style-src 'unsafe-inline' 'self'";
        assert_eq!(in_policy(upstreams), [""; 0]);
        assert_eq!(in_policy("default-src 'self' blob:; img-src https:"), [""; 0]);
        assert_eq!(
            in_policy("script-src 'self' https://x.invalid;default-src *"),
            ["script-src https://x.invalid", "default-src *"]
        );
    }
}

//! What the report is like, held against Jenkins' schema: its rules are written down as a table.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::super::probe::Finding;
use super::*;

/// What both schemas say of an element.
struct Rule {
    name: &'static str,
    required: &'static [&'static str],
    optional: &'static [&'static str],
    /// In this order.
    children: &'static [&'static str],
}

const SCHEMA: [Rule; 8] = [
    Rule {
        name: "testsuites",
        required: &[],
        optional: &["name", "time", "tests", "failures", "errors"],
        children: &["testsuite"],
    },
    Rule {
        name: "testsuite",
        required: &["name", "tests", "failures", "errors"],
        optional: &["time", "skipped", "timestamp", "hostname", "id", "package"],
        children: &["properties", "testcase", "system-out", "system-err"],
    },
    Rule { name: "properties", required: &[], optional: &[], children: &["property"] },
    Rule { name: "property", required: &["name", "value"], optional: &[], children: &[] },
    Rule {
        name: "testcase",
        required: &["name"],
        optional: &["time", "classname"],
        children: &["skipped", "error", "failure", "system-out", "system-err"],
    },
    Rule { name: "skipped", required: &[], optional: &[], children: &[] },
    Rule { name: "error", required: &[], optional: &["type", "message"], children: &[] },
    Rule { name: "failure", required: &[], optional: &["type", "message"], children: &[] },
];
const WITH_TEXT: [&str; 3] = ["skipped", "error", "failure"];

/// Everything in a document that the schemas do not let in.
fn violations(xml: &str) -> Vec<String> {
    let mut reader = Reader::from_str(xml);
    let mut wrong = Vec::new();
    // The open elements, each with the place that its last child has in its rule.
    let mut open: Vec<(String, usize)> = Vec::new();
    loop {
        match reader.read_event().unwrap() {
            Event::Eof => return wrong,
            Event::Start(start) => {
                wrong.extend(place(&start, &mut open));
                wrong.extend(attributes(&start));
            }
            Event::Empty(start) => {
                wrong.extend(place(&start, &mut open));
                wrong.extend(attributes(&start));
                open.pop();
            }
            Event::End(_) => drop(open.pop()),
            Event::Text(text) if !text.iter().all(u8::is_ascii_whitespace) => {
                let may = open.last().is_some_and(|(name, _)| WITH_TEXT.contains(&&**name));
                wrong.extend((!may).then(|| format!("text in `{open:?}`")));
            }
            _ => {}
        }
    }
}

fn name_of(start: &BytesStart<'_>) -> String {
    String::from_utf8(start.name().as_ref().to_vec()).unwrap()
}

fn rule_of(name: &str) -> Option<&'static Rule> {
    SCHEMA.iter().find(|rule| rule.name == name)
}

/// Opens an element; says so when it must not be there.
fn place(start: &BytesStart<'_>, open: &mut Vec<(String, usize)>) -> Option<String> {
    let name = name_of(start);
    let problem = match open.last_mut() {
        None => (name != "testsuites").then(|| format!("`{name}` at the top")),
        Some((parent, last)) => {
            let children = rule_of(parent).map_or(&[][..], |rule| rule.children);
            match children.iter().position(|child| *child == name) {
                Some(at) if at >= *last => {
                    *last = at;
                    None
                }
                _ => Some(format!("`{name}` at this place in `{parent}`")),
            }
        }
    };
    open.push((name, 0));
    problem
}

fn attributes(start: &BytesStart<'_>) -> Vec<String> {
    let name = name_of(start);
    let Some(Rule { required, optional, .. }) = rule_of(&name) else {
        return vec![format!("element `{name}`")];
    };
    let mut wrong = Vec::new();
    let mut missing: Vec<&str> = required.to_vec();
    for attribute in start.attributes() {
        let attribute = attribute.unwrap();
        let key = String::from_utf8(attribute.key.as_ref().to_vec()).unwrap();
        let value = String::from_utf8(attribute.value.to_vec()).unwrap();
        missing.retain(|missing| *missing != key);
        let is_known = required.iter().chain(*optional).any(|known| *known == key);
        if !is_known || !has_form(&key, &value) {
            wrong.push(format!("`{name} {key}=\"{value}\"`"));
        }
    }
    wrong.extend(missing.iter().map(|missing| format!("`{name}` without `{missing}`")));
    wrong
}

fn has_form(key: &str, value: &str) -> bool {
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    match key {
        "time" => value.split_once('.').is_some_and(|(a, b)| is_digits(a) && is_digits(b)),
        "tests" | "failures" | "errors" | "skipped" => is_digits(value),
        _ => true,
    }
}

fn reports() -> Vec<Report> {
    let probe = |name: &str, outcome| Probe {
        name: name.to_owned(),
        took: Duration::from_millis(1250),
        outcome,
    };
    let found = "x\u{1b}[1m\n& \"y\" ]]>\u{ffff}";
    let finding = Finding::new("a|b", "<1>", found);
    let report = |tree: &str| Report {
        tree: tree.to_owned(),
        kind: "flox result".to_owned(),
        version: semver::Version::new(1, 9, 12),
        took: Duration::from_secs(3700),
        probes: vec![
            probe("imports", Outcome::Passed("dagster".to_owned())),
            probe("<\"'&>\n", Outcome::Failed(vec![finding.clone(), finding.clone()])),
            probe("closure", Outcome::Skipped("no store".to_owned())),
            probe("web page", Outcome::Skipped("it needs `webserver`".to_owned())),
            probe("graphql", Outcome::Interrupted),
        ],
        closure: None,
        may_skip: vec!["closure".to_owned()],
        is_interrupted: false,
        logs: Some("/tmp/ö \"x\"".into()),
    };
    vec![report("combined"), report("/tmp/a <b>"), Report { probes: vec![], ..report("none") }]
}

#[test]
fn jenkins_lets_it_in() {
    assert_eq!(violations(&junit(&reports())), [""; 0]);
    assert_eq!(violations(&junit(&[])), [""; 0]);
    let good = junit(&reports()[..1]);
    for (from, to, expected) in [
        (" errors=\"1\" time", " errors=\"1\" skipped=\"1\" time", "`testsuites skipped"),
        ("<skipped>", "<skipped message=\"x\">", "`skipped message"),
        (" errors=\"1\" skipped", " skipped", "`testsuite` without `errors`"),
        ("1.250", "1,250", "time=\"1,250\""),
        ("<testcase", "<properties/><testcase", "`properties` at this place"),
    ] {
        let found = violations(&good.replace(from, to));
        assert!(found.iter().any(|found| found.contains(expected)), "{from}: {found:?}");
    }
}

#[test]
fn one_tree() {
    expect_test::expect![[r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites name="smoke" tests="5" failures="2" errors="1" time="3700.000">
          <testsuite name="combined 1.9.12" tests="5" failures="2" errors="1" skipped="1" time="3700.000">
            <properties><property name="logs" value="/tmp/ö &quot;x&quot;"/></properties>
            <testcase name="imports" classname="combined" time="1.250"/>
            <testcase name="&lt;&quot;'&amp;&gt; " classname="combined" time="1.250"><failure message="a|b: expected &lt;1&gt;, found x">a|b: expected &lt;1&gt;, found x
        &amp; &quot;y&quot; ]]&gt;
        a|b: expected &lt;1&gt;, found x
        &amp; &quot;y&quot; ]]&gt;</failure></testcase>
            <testcase name="closure" classname="combined" time="1.250"><skipped>no store</skipped></testcase>
            <testcase name="web page" classname="combined" time="1.250"><failure message="skipped: it needs `webserver`">skipped: it needs `webserver`</failure></testcase>
            <testcase name="graphql" classname="combined" time="1.250"><error message="interrupted: this program was told to end">interrupted: this program was told to end</error></testcase>
          </testsuite>
        </testsuites>
    "#]]
    .assert_eq(&junit(&reports()[..1]));
}

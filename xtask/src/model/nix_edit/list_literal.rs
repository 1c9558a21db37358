//! Elements of one list: added, removed, replaced. Everything else stays byte for byte.
//!
//! A new element joins the list's order and layout: among sorted elements of its kind (the same
//! `python312Packages.` before the name) it goes to its place, elsewhere behind the last of its
//! kind; where elements have lines of their own it gets one. A comment on a line of its own ends
//! the part of the list that is joined: what stands below it is headed by it. `[ x ]` that gets a
//! second element gets lines, as nixfmt wants them, and is one line again without it.
//!
//! Whether two tokens may touch depends on both, so nothing is concluded from the characters
//! around: the ways to write an edit are tried in order, and the first is taken whose result, read
//! back, is the list that was wanted.

use std::ops::Range;

use rnix::ast::{Expr, List};
use rnix::{Root, SyntaxNode};
use rowan::ast::AstNode as _;

/// The text with one more element in the list, with a comment behind it if it gets its own line.
/// `None` if no way of writing it is read back as intended, and taken back by [`remove`] (which
/// writes a list of one element that had lines as `[ x ]`).
pub(super) fn add(text: &str, list: &List, element: &str, comment: &str) -> Option<String> {
    let layout = Layout::of(text, list);
    let after = layout.predecessor(element);
    let at = after.map_or(0, |index| index + 1);
    let mut wanted = layout.elements();
    wanted.insert(at, element.to_owned());
    let parenthesised = format!("({element})");
    let mut wanted_parenthesised = wanted.clone();
    wanted_parenthesised[at].clone_from(&parenthesised);

    if let Some(unfolded) = layout.unfolded(at, &format!("{element}{comment}"))
        && let Some(list) = read_back(&unfolded, &layout, &wanted)
        && remove(&unfolded, &list, at).as_deref() == Some(text)
    {
        return Some(unfolded);
    }
    let mut ways = Vec::new();
    if let Some((offset, line_break)) = layout.new_line(after) {
        ways.push((offset, format!("{line_break}{element}{comment}"), &wanted));
    }
    let inline = after.map_or(layout.open, |index| layout.ranges[index].end);
    for (element, wanted) in [(element, &wanted), (&parenthesised, &wanted_parenthesised)] {
        if after.is_some() || text[inline..].starts_with(char::is_whitespace) {
            ways.push((inline, format!(" {element}"), wanted));
        }
        ways.push((inline, format!("{element} "), wanted));
        ways.push((inline, element.to_owned(), wanted));
    }
    ways.into_iter().find_map(|(offset, new, wanted)| {
        let edited = format!("{}{new}{}", &text[..offset], &text[offset..]);
        let list = read_back(&edited, &layout, wanted)?;
        let back = remove(&edited, &list, at)?;
        (back == text || layout.folded().is_some_and(|folded| back == folded)).then_some(edited)
    })
}

/// The text without one element of the list, and without the comment that follows it on its own
/// line.
pub(super) fn remove(text: &str, list: &List, index: usize) -> Option<String> {
    let layout = Layout::of(text, list);
    let mut wanted = layout.elements();
    wanted.remove(index);
    let range = layout.ranges[index].clone();
    let before = text[..range.start].trim_end().len();
    let after = text.len() - text[range.end..].trim_start().len();
    let ways = [
        layout.own_line(index).map(|line| (line, "")),
        (before < range.start).then_some((before..range.end, "")),
        Some((range.start..after, "")),
        Some((range.clone(), "")),
        Some((range, " ")),
    ];
    ways.into_iter().flatten().find_map(|(range, new)| {
        let edited = format!("{}{new}{}", &text[..range.start], &text[range.end..]);
        let list = read_back(&edited, &layout, &wanted)?;
        let folded = Layout::of(&edited, &list).folded();
        folded.filter(|text| read_back(text, &layout, &wanted).is_some()).or(Some(edited))
    })
}

/// The text with another element in the place of one.
pub(super) fn replace(text: &str, list: &List, index: usize, element: &str) -> Option<String> {
    let layout = Layout::of(text, list);
    let range = layout.ranges[index].clone();
    [element.to_owned(), format!("({element})")].into_iter().find_map(|element| {
        let mut wanted = layout.elements();
        wanted[index].clone_from(&element);
        let edited = format!("{}{element}{}", &text[..range.start], &text[range.end..]);
        read_back(&edited, &layout, &wanted).map(|_| edited)
    })
}

/// The list in an edited text, if the text is still Nix and the list has the wanted elements.
fn read_back(text: &str, layout: &Layout<'_>, wanted: &[String]) -> Option<List> {
    let parsed = Root::parse(text);
    if !parsed.errors().is_empty() {
        return None;
    }
    let list = lists(parsed.tree().syntax()).find(|list| start(list) == layout.start)?;
    let found = Layout::of(text, &list);
    // What follows the list shows that it ends where it did.
    let ends_alike = text[found.end..] == layout.text[layout.end..];
    (found.elements() == wanted && ends_alike).then_some(list)
}

/// All lists below a node.
pub(super) fn lists(node: &SyntaxNode) -> impl Iterator<Item = List> + use<> {
    node.descendants().filter_map(List::cast)
}

fn start(list: &List) -> usize {
    usize::from(list.syntax().text_range().start())
}

/// Where the elements of a list stand in its file.
struct Layout<'a> {
    text: &'a str,
    start: usize,
    /// Behind the opening bracket.
    open: usize,
    end: usize,
    ranges: Vec<Range<usize>>,
}

impl<'a> Layout<'a> {
    fn of(text: &'a str, list: &List) -> Self {
        let range = Range::<usize>::from(list.syntax().text_range());
        let ranges = list.items().map(|item: Expr| item.syntax().text_range().into()).collect();
        Self { text, start: range.start, open: range.start + 1, end: range.end, ranges }
    }

    fn element(&self, index: usize) -> &'a str {
        &self.text[self.ranges[index].clone()]
    }

    fn elements(&self) -> Vec<String> {
        (0..self.ranges.len()).map(|index| self.element(index).to_owned()).collect()
    }

    /// The element that a new one follows; `None` at the front.
    fn predecessor(&self, element: &str) -> Option<usize> {
        let (kind, name) = kind_and_name(element);
        let joined = self.joined();
        let same: Vec<(usize, &str)> = (0..joined)
            .filter_map(|index| {
                let (other, name) = kind_and_name(self.element(index));
                (other == kind).then_some((index, name))
            })
            .collect();
        let Some((first, _)) = same.first() else { return joined.checked_sub(1) };
        let last = same.last().map(|(index, _)| *index);
        if !same.is_sorted_by_key(|(_, name)| *name) {
            return last;
        }
        same.iter()
            .rfind(|(_, other)| *other <= name)
            .map(|(index, _)| *index)
            .or_else(|| first.checked_sub(1))
    }

    /// The indentation of the line that the list begins on.
    fn indent(&self) -> &'a str {
        let line = self.text[..self.start].rfind('\n').map_or(0, |at| at + 1);
        let rest = &self.text[line..];
        &rest[..rest.len() - rest.trim_start_matches([' ', '\t']).len()]
    }

    /// The text with another list in the place of this.
    fn with(&self, list: &str) -> String {
        format!("{}{list}{}", &self.text[..self.start], &self.text[self.end..])
    }

    /// The text with one more element in `[ x ]`, each on its line.
    fn unfolded(&self, at: usize, new: &str) -> Option<String> {
        let ([only], indent) = (self.ranges.as_slice(), self.indent()) else { return None };
        let only = &self.text[only.clone()];
        let is_one_line = self.text[self.start..self.end] == format!("[ {only} ]");
        if !is_one_line || format!("{only}{new}").contains('\n') || self.text.contains('\r') {
            return None;
        }
        let (first, second) = if at == 0 { (new, only) } else { (only, new) };
        Some(self.with(&format!("[\n{indent}  {first}\n{indent}  {second}\n{indent}]")))
    }

    /// The text with `[ x ]` for a list of one element that has lines as [`Self::unfolded`] makes
    /// them.
    fn folded(&self) -> Option<String> {
        let ([only], indent) = (self.ranges.as_slice(), self.indent()) else { return None };
        let only = &self.text[only.clone()];
        let has_lines =
            self.text[self.start..self.end] == format!("[\n{indent}  {only}\n{indent}]");
        (has_lines && !only.contains('\n')).then(|| self.with(&format!("[ {only} ]")))
    }

    /// How many elements stand before the first comment that has a line of its own.
    fn joined(&self) -> usize {
        let is_heading =
            |gap: &str| gap.lines().skip(1).any(|line| line.trim_start().starts_with('#'));
        let gaps = self.ranges.windows(2).map(|pair| &self.text[pair[0].end..pair[1].start]);
        gaps.take_while(|gap| !is_heading(gap)).count() + usize::from(!self.ranges.is_empty())
    }

    /// Where a new line goes, and the line break and indentation that it begins with; for a list
    /// that has lines.
    fn new_line(&self, after: Option<usize>) -> Option<(usize, String)> {
        let neighbour = after.unwrap_or(0);
        let line = self.own_line(neighbour)?;
        let indented = &self.text[line.start..self.ranges[neighbour].start];
        let offset = match after {
            Some(_) => line.end,
            None => line_end(self.text, self.open),
        };
        Some((offset, indented.to_owned()))
    }

    /// The line break before an element that has lines to itself, the element, and the comment
    /// behind it.
    fn own_line(&self, index: usize) -> Option<Range<usize>> {
        let range = self.ranges.get(index)?;
        let indent = self.text[..range.start].trim_end_matches([' ', '\t']);
        let before = indent.strip_suffix('\n')?;
        let before = before.strip_suffix('\r').unwrap_or(before).len();
        let end = line_end(self.text, range.end);
        let rest = self.text[range.end..end].trim_start();
        (rest.is_empty() || rest.starts_with('#')).then_some(before..end)
    }
}

/// Where the line that an offset is on ends, without its line break.
fn line_end(text: &str, offset: usize) -> usize {
    let end = text[offset..].find('\n').map_or(text.len(), |at| offset + at);
    if text[offset..end].ends_with('\r') { end - 1 } else { end }
}

/// `python312Packages.` and `click` of `python312Packages.click`.
fn kind_and_name(element: &str) -> (&str, &str) {
    let cut = if element.starts_with('"') { 1 } else { element.rfind('.').map_or(0, |at| at + 1) };
    element.split_at(cut)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use proptest::prelude::*;
    use proptest::sample::Index;
    use proptest::test_runner::RngSeed;

    use super::*;

    fn first_list(text: &str) -> List {
        let parsed = Root::parse(text);
        assert!(parsed.errors().is_empty(), "{text}");
        lists(parsed.tree().syntax()).next().unwrap()
    }

    fn check(before: &str, element: &str, comment: &str, expected: Expect) {
        let after = add(before, &first_list(before), element, comment).unwrap();
        expected.assert_eq(&after);
        let list = first_list(&after);
        let index = list.items().position(|item| item.syntax().text() == element).unwrap();
        assert_eq!(remove(&after, &list, index).unwrap(), before);
    }

    #[test]
    fn an_element_goes_to_its_place() {
        check(
            "[\n  dagster\n  p.click # command line\n  p.uvicorn\n  # of uvicorn\n  p.a\n]",
            "p.starlette",
            "",
            expect![[r"
                [
                  dagster
                  p.click # command line
                  p.starlette
                  p.uvicorn
                  # of uvicorn
                  p.a
                ]"]],
        );
        check("[ p.b p.c ]", "p.a", "", expect!["[ p.a p.b p.c ]"]);
        check("[ p.c p.b ]", "p.a", "", expect!["[ p.c p.b p.a ]"]);
        check("[ ]", "p.a", "", expect!["[ p.a ]"]);
        check("[]", "p.a", "", expect!["[p.a ]"]);
        check(
            "{\n  x = [ \"gql\" ];\n}",
            "\"click\"",
            "",
            expect![[r#"
                {
                  x = [
                    "click"
                    "gql"
                  ];
                }"#]],
        );
        check(
            "[ p.a ]",
            "p.b",
            " # of x",
            expect![[r"
            [
              p.a
              p.b # of x
            ]"]],
        );
        check(
            "[ # why\n  p.b\n]",
            "p.a",
            " # of x",
            expect![[r"
                [ # why
                  p.a # of x
                  p.b
                ]"]],
        );
        check("[\r\n  p.a\r\n]", "p.b", "", expect!["[\r\n  p.a\r\n  p.b\r\n]"]);
    }

    #[test]
    fn nothing_merges_with_its_neighbours() {
        check("[\"x\"./y]", "z", "", expect![[r#"["x"./y z]"#]]);
        let text = "[a \"x\"b]";
        assert_eq!(remove(text, &first_list(text), 1).unwrap(), "[a b]");
        let text = "[ a # c\n  b ]";
        assert_eq!(remove(text, &first_list(text), 1).unwrap(), "[ a # c\n  ]");
    }

    #[test]
    fn a_replacement_keeps_what_is_around() {
        let text = "[ p.setuptools /* why */ ]";
        assert_eq!(
            replace(text, &first_list(text), 0, "p.hatchling").unwrap(),
            "[ p.hatchling /* why */ ]"
        );
    }

    fn element() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-z]{1,6}",
            "(p|python312Packages)\\.[a-z]{1,6}(-[a-z]{1,3})?",
            "\"[a-z\\[\\] #]{0,6}\"",
            "''[a-z]{0,3}\n  [a-z]{0,3}''",
            "[1-9][0-9]{0,2}",
            Just("(f { x = [ y ]; })".to_owned()),
            Just("{ a = 1; }".to_owned()),
            Just("[ a b ]".to_owned()),
            Just("./file.nix".to_owned()),
            Just("(if a then\n  b # c\n else d)".to_owned()),
        ]
        // `in` and `or` are none.
        .prop_filter("an element", |element| {
            let text = format!("[ {element} ]");
            let parsed = Root::parse(&text);
            let is_one = |list: List| Layout::of(&text, &list).elements() == [element.as_str()];
            parsed.errors().is_empty() && lists(parsed.tree().syntax()).next().is_some_and(is_one)
        })
    }

    /// The same cases on every machine; `PROPTEST_CASES` and `PROPTEST_RNG_SEED` try others.
    fn cases() -> ProptestConfig {
        let set = |name| std::env::var_os(name).is_some();
        let mut config = ProptestConfig {
            failure_persistence: None,
            max_global_rejects: 1 << 20,
            ..ProptestConfig::default()
        };
        if !set("PROPTEST_RNG_SEED") {
            config.rng_seed = RngSeed::Fixed(1);
        }
        if !set("PROPTEST_CASES") {
            config.cases = 2000;
        }
        config
    }

    fn gap() -> impl Strategy<Value = String> {
        prop_oneof![
            4 => "\n {0,6}",
            2 => " {0,2}",
            1 => " ?# [a-z #\\]]{0,8}\n {0,4}",
            1 => "\r\n {0,4}",
            1 => "\n\n {0,4}",
            1 => " ?/\\* [a-z\n\\]]{0,8} \\*/ ?",
            1 => "\n {0,4}# [a-z]{0,8}\n {0,4}",
            1 => "\t",
        ]
    }

    /// A list as someone may have written it, in a file.
    fn file() -> impl Strategy<Value = String> {
        let elements = prop::collection::vec((gap(), element()), 0..8);
        (elements, gap(), "(# [a-z]{0,4}\n)?", "(\n|  # end)?").prop_map(
            |(elements, last, before, after)| {
                let body: String =
                    elements.into_iter().flat_map(|(gap, element)| [gap, element]).collect();
                format!("{before}{{ d = [{body}{last}] ++ more; }}{after}")
            },
        )
    }

    fn edited_with_lines(text: &str, list: &List, at: usize, new: &str) -> String {
        Layout::of(text, list).unfolded(at, new).unwrap_or_default()
    }

    proptest! {
        #![proptest_config(cases())]

        #[test]
        fn adding_then_removing_gives_back_every_byte(text in file(), new in element()) {
            let parsed = Root::parse(&text);
            prop_assume!(parsed.errors().is_empty());
            let list = lists(parsed.tree().syntax()).next().unwrap();
            let before = Layout::of(&text, &list).elements();
            // Only what is not there is ever added.
            prop_assume!(!before.contains(&new));
            let edited = add(&text, &list, &new, "").expect("a way to write it");
            prop_assert!(Root::parse(&edited).errors().is_empty());
            let edited_list = lists(Root::parse(&edited).tree().syntax()).next().unwrap();
            let after = Layout::of(&edited, &edited_list).elements();
            let at = (0..after.len()).find(|&at| before.get(at) != Some(&after[at])).unwrap();
            prop_assert_eq!(after.len(), before.len() + 1);
            let parenthesised = format!("({new})");
            prop_assert!(after[at] == new || after[at] == parenthesised);
            // What was there is there still, in order, and nothing between it changed, unless
            // `[ x ]` got lines.
            let added = edited.len() - text.len();
            let same = text.bytes().zip(edited.bytes()).take_while(|(a, b)| a == b).count();
            let rest = text.len() - text.bytes().rev().zip(edited.bytes().rev())
                .take_while(|(a, b)| a == b).count();
            let with_lines = || edited_with_lines(&text, &list, at, &new);
            let got_lines = before.len() == 1 && edited == with_lines();
            prop_assert!(got_lines || (rest <= same && added >= new.len()));
            let back = remove(&edited, &edited_list, at).unwrap();
            let folded = Layout::of(&text, &list).folded();
            prop_assert!(back == text || Some(&back) == folded.as_ref(), "{back}\n{text}");
        }

        #[test]
        fn removing_leaves_the_other_elements(text in file(), pick in any::<Index>()) {
            let parsed = Root::parse(&text);
            prop_assume!(parsed.errors().is_empty());
            let list = lists(parsed.tree().syntax()).next().unwrap();
            let mut wanted = Layout::of(&text, &list).elements();
            prop_assume!(!wanted.is_empty());
            let index = pick.index(wanted.len());
            wanted.remove(index);
            let edited = remove(&text, &list, index).expect("a way to write it");
            let parsed = Root::parse(&edited);
            prop_assert!(parsed.errors().is_empty());
            let list = lists(parsed.tree().syntax()).next().unwrap();
            prop_assert_eq!(Layout::of(&edited, &list).elements(), wanted);
        }

        #[test]
        fn replacing_and_replacing_back_gives_back_every_byte(
            text in file(), new in element(), pick in any::<Index>()
        ) {
            let parsed = Root::parse(&text);
            prop_assume!(parsed.errors().is_empty());
            let list = lists(parsed.tree().syntax()).next().unwrap();
            let elements = Layout::of(&text, &list).elements();
            prop_assume!(!elements.is_empty());
            let index = pick.index(elements.len());
            let edited = replace(&text, &list, index, &new).expect("a way to write it");
            let edited_list = lists(Root::parse(&edited).tree().syntax()).next().unwrap();
            let back = replace(&edited, &edited_list, index, &elements[index]).unwrap();
            prop_assert_eq!(back, text);
        }
    }
}

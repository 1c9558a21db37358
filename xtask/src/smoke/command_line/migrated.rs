//! What an older database must have lost and, once it was migrated, must have again.
//!
//! It is made by upstream's own downgrades, so that a pair of migrations that does nothing would
//! not show: what each revision adds is written down here, and looked for in the databases.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use super::super::probe::Finding;
use super::home::Home;
use super::said::{OLDER, Revision, STORAGES, check_said, check_schema};

const RUNS: &str = "history/runs.db";
const EVENTS: &str = "history/runs/index.db";

/// What each later revision adds to which database of SQLite's: columns, tables and indexes. Two
/// are for MySQL only.
const ADDED: [(&str, &str, &[&str]); 7] = [
    ("63d7a8ec641a", RUNS, &["runs.backfill_id"]),
    ("1aca709bba64", RUNS, &["idx_runs_by_backfill_id"]),
    (
        "16e3655b4d9b",
        RUNS,
        &["bulk_actions.job_name", "backfill_tags", "idx_backfill_tags_backfill_id"],
    ),
    ("6b7fb194ff9c", RUNS, &["idx_run_tags_run_id"]),
    ("7e2f3204cf8e", EVENTS, &["concurrency_limits.using_default_limit"]),
    ("f495c27d5019", EVENTS, &[]),
    ("29b539ebc72a", RUNS, &[]),
];

/// Tables whose rows a migration may add to or take away.
const BOOKS: [&str; 3] = ["alembic_version", "secondary_indexes", "backfill_tags"];

/// What a database says of itself, as `python/commands.py` writes it.
#[derive(Debug, Default, Deserialize)]
struct Database {
    revision: String,
    /// Tables, columns as `TABLE.COLUMN`, indexes.
    has: BTreeSet<String>,
    /// How many, by table.
    rows: BTreeMap<String, u64>,
    /// Of each migration of data: its name, what it fills, with what, and what is there.
    filled: Vec<(String, String, String, String)>,
}

type Databases = BTreeMap<String, Database>;

/// Checks the databases before and after `dagster instance migrate`.
///
/// # Errors
/// The first finding.
pub fn check(home: &Home, said: &[String]) -> Result<String> {
    let [new, undone, older, migrated, newer, runs] = said else {
        bail!("expected 6 outputs, found {}", said.len())
    };
    let Some((before, after)) = migrated.split_once("Running migration:") else {
        let found = format!("`{}`", migrated.trim());
        bail!(Finding::new("`dagster instance migrate`", "`Running migration:`", found));
    };
    let (new, older, newer) = (read(new)?, read(older)?, read(newer)?);
    let undone: Vec<String> = json(undone, '[')?;
    check_revisions("before", &older, OLDER)?;
    check_absent(&older, &undone)?;
    check_schema("instance migrate", before, Revision::Older)?;
    check_schema("instance migrate", after, Revision::Latest)?;
    let latest = after.lines().find_map(|line| line.trim().strip_prefix("latest: "));
    check_revisions("after", &newer, latest.unwrap_or_default())?;
    let added = check_added(&newer, &undone)?;
    check_columns(&new, &newer)?;
    check_rows(&older, &newer)?;
    let filled = check_filled(&newer)?;
    check_said("run list", runs, &format!("Run: {}", home.run))?;
    let mut found = format!(
        "{} databases from {OLDER}: {added} columns, tables and indexes added, {filled} filled, \
         and the run is still listed",
        older.len()
    );
    let is_known = |revision: &&String| ADDED.iter().any(|(known, ..)| known == revision);
    let unknown: Vec<&str> =
        undone.iter().filter(|revision| !is_known(revision)).map(String::as_str).collect();
    if !unknown.is_empty() {
        found.push_str(&format!("; what is added by {} is not known", unknown.join(", ")));
    }
    Ok(found)
}

/// The line of JSON in what a command said.
fn json<T: for<'t> Deserialize<'t>>(said: &str, first: char) -> Result<T> {
    let line = said.lines().find(|line| line.starts_with(first)).unwrap_or_default();
    serde_json::from_str(line).with_context(|| format!("failed to read `{line}`"))
}

fn read(said: &str) -> Result<Databases> {
    json(said, '{')
}

fn what(when: &str) -> String {
    format!("databases {when} `dagster instance migrate`")
}

/// Checks what the databases say themselves of their revisions.
fn check_revisions(when: &str, found: &Databases, expected: &str) -> Result<()> {
    if found.len() < STORAGES {
        let names: Vec<&str> = found.keys().map(String::as_str).collect();
        let found = format!("`{}`", names.join(" "));
        bail!(Finding::new(what(when), format!("at least {STORAGES}"), found));
    }
    let other = found.iter().filter(|(_, database)| database.revision != expected);
    let other: Vec<String> =
        other.map(|(file, database)| format!("{file}: {}", database.revision)).collect();
    if !other.is_empty() {
        bail!(Finding::new(what(when), format!("`{expected}`"), format!("`{}`", other.join(", "))));
    }
    Ok(())
}

/// What revisions add: each with the revision, whether its database has it, and that.
fn added<'d>(
    databases: &'d Databases,
    revisions: &'d [String],
) -> impl Iterator<Item = (&'static str, &'static str, &'static str, bool)> + 'd {
    let of_these =
        ADDED.iter().filter(|(revision, ..)| revisions.iter().any(|own| own == revision));
    of_these.flat_map(|(revision, file, names)| {
        let has = databases.get(*file).map(|database| &database.has);
        names
            .iter()
            .map(move |name| (*revision, *file, *name, has.is_some_and(|has| has.contains(*name))))
    })
}

/// Checks that nothing is there that the undone revisions had added.
fn check_absent(older: &Databases, undone: &[String]) -> Result<()> {
    match added(older, undone).find(|(.., is_there)| *is_there) {
        None => Ok(()),
        Some((revision, file, name, _)) => {
            let expected = format!("no `{name}`: undoing {revision} takes it away");
            bail!(Finding::new(what("before"), expected, format!("it is in `{file}`")))
        }
    }
}

/// Checks that all of that is there again; says how many.
fn check_added(newer: &Databases, undone: &[String]) -> Result<usize> {
    match added(newer, undone).find(|(.., is_there)| !is_there) {
        None => Ok(added(newer, undone).count()),
        Some((revision, file, name, _)) => {
            let expected = format!("`{name}`, which {revision} adds");
            bail!(Finding::new(what("after"), expected, format!("none in `{file}`")))
        }
    }
}

/// Checks that a migrated database has every table and column that a new one has. Indexes may
/// differ: they do in every release.
fn check_columns(new: &Databases, newer: &Databases) -> Result<()> {
    for (file, database) in new {
        let has = newer.get(file).map(|newer| &newer.has);
        let is_table = |name: &String| name.contains('.') || database.rows.contains_key(name);
        let is_there = |name: &String| has.is_some_and(|has| has.contains(name));
        if let Some(name) = database.has.iter().find(|name| is_table(name) && !is_there(name)) {
            let expected = format!("`{name}`, which a new database has");
            bail!(Finding::new(what("after"), expected, format!("none in `{file}`")));
        }
    }
    Ok(())
}

/// Checks that no table has lost or gained rows.
fn check_rows(older: &Databases, newer: &Databases) -> Result<()> {
    for (file, database) in older {
        let rows = newer.get(file).map(|newer| &newer.rows);
        for (table, count) in database.rows.iter().filter(|(table, _)| !BOOKS.contains(&&***table))
        {
            let found = rows.and_then(|rows| rows.get(table)).copied().unwrap_or_default();
            if found != *count {
                let expected = format!("{count} rows in `{table}` of `{file}`");
                bail!(Finding::new(what("after"), expected, found.to_string()));
            }
        }
    }
    Ok(())
}

/// Checks what the migrations of data wrote; says how many columns that are.
fn check_filled(newer: &Databases) -> Result<usize> {
    let all: Vec<_> = newer.values().flat_map(|database| &database.filled).collect();
    match all.iter().find(|(_, _, wanted, found)| wanted != found) {
        None => Ok(all.len()),
        Some((name, filled, wanted, found)) => {
            let expected = format!("`{wanted}` as {filled}, by the migration of data `{name}`");
            bail!(Finding::new(what("after"), expected, format!("`{found}`")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn databases(text: &str) -> Databases {
        read(&format!("a warning\n{text}\n")).unwrap()
    }

    fn found<T>(result: Result<T>) -> String {
        result.err().map(|finding| finding.to_string()).unwrap_or_default()
    }

    fn of(file: &str, has: &[&str], rows: u64, filled: &[[&str; 4]]) -> Databases {
        databases(
            &serde_json::json!({ file: {
                "revision": "b", "has": has, "rows": { "runs": rows }, "filled": filled,
            }})
            .to_string(),
        )
    }

    #[test]
    fn each_database_has_its_revision() {
        let check = |revisions: [&str; 3]| {
            let [a, b, c] = revisions
                .map(|revision| Database { revision: revision.to_owned(), ..Database::default() });
            let found = [("i.db", a), ("r.db", b), ("s.db", c)];
            check_revisions("after", &found.map(|(file, own)| (file.to_owned(), own)).into(), "b")
        };
        assert_eq!(found(check(["b", "b", "b"])), "");
        let after = "databases after `dagster instance migrate`: expected";
        assert_eq!(found(check(["b", "a", ""])), format!("{after} `b`, found `r.db: a, s.db: `"));
        let few = check_revisions("after", &of("i.db", &[], 0, &[]), "b");
        assert_eq!(found(few), format!("{after} at least 3, found `i.db`"));
    }

    #[test]
    fn what_a_revision_adds_is_taken_away_and_comes_again() {
        let undone = ["63d7a8ec641a".to_owned(), "0123456789ab".to_owned()];
        let (with, without) = (of(RUNS, &["runs.backfill_id"], 0, &[]), of(RUNS, &[], 0, &[]));
        assert_eq!(found(check_absent(&without, &undone)), "");
        assert_eq!(
            found(check_absent(&with, &undone)),
            "databases before `dagster instance migrate`: expected no `runs.backfill_id`: undoing \
             63d7a8ec641a takes it away, found it is in `history/runs.db`"
        );
        assert_eq!(check_added(&with, &undone).unwrap(), 1);
        assert_eq!(
            found(check_added(&without, &undone)),
            "databases after `dagster instance migrate`: expected `runs.backfill_id`, which \
             63d7a8ec641a adds, found none in `history/runs.db`"
        );
        assert_eq!(check_added(&without, &[]).unwrap(), 0);
    }

    #[test]
    fn a_migrated_database_is_no_less_than_a_new_one() {
        let after = "databases after `dagster instance migrate`: expected";
        let (more, less) = (of("x.db", &["runs", "runs.id", "i"], 2, &[]), of("x.db", &[], 1, &[]));
        assert_eq!(found(check_columns(&more, &of("x.db", &["runs", "runs.id"], 2, &[]))), "");
        let expected = format!("{after} `runs`, which a new database has, found none in `x.db`");
        assert_eq!(found(check_columns(&more, &less)), expected);
        assert_eq!(found(check_rows(&more, &more)), "");
        let expected = format!("{after} 2 rows in `runs` of `x.db`, found 1");
        assert_eq!(found(check_rows(&more, &less)), expected);
    }

    #[test]
    fn migrations_of_data_fill_columns() {
        let check = |there| check_filled(&of("x.db", &[], 0, &[["name", "a.b", "[1]", there]]));
        assert_eq!(check("[1]").unwrap(), 1);
        let expected = "databases after `dagster instance migrate`: expected `[1]` as a.b, by the \
                        migration of data `name`, found `[null]`";
        assert_eq!(found(check("[null]")), expected);
    }
}

//! `git`, in one checkout.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use rustix::fs::Access;
use xshell::{Cmd, Shell, cmd};

use super::command;

/// How the names of copies of git's index start.
const SCRATCH: &str = "xtask-index-";

/// How git says no where it was asked quietly.
const NO: i32 = 1;
/// `git remote`, of a name that it does not know.
const NO_SUCH_REMOTE: i32 = 2;
/// Of `@{upstream}` where there is none, and of much else.
const FATAL: i32 = 128;

/// The git repository of a checkout.
pub struct Git<'a> {
    sh: &'a Shell,
    root: &'a Path,
}

/// Where a branch is to be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BranchAt {
    Local,
    Remote,
    Nowhere,
}

impl<'a> Git<'a> {
    pub fn new(sh: &'a Shell, root: &'a Path) -> Self {
        Self { sh, root }
    }

    /// Asks in a directory, for who has no checkout at hand, as when a value is dropped.
    pub fn asked_at<T>(root: &Path, ask: impl FnOnce(&Git<'_>) -> Result<T>) -> Result<T> {
        let sh = Shell::new()?;
        sh.change_dir(root);
        ask(&Git::new(&sh, root))
    }

    /// The branch that is checked out; `None` when HEAD is detached.
    pub fn branch(&self) -> Result<Option<String>> {
        let sh = self.sh;
        let found = command::read_if_any(cmd!(sh, "git symbolic-ref --quiet --short HEAD"), NO)?;
        found.map(branch_name).transpose()
    }

    /// The commit that a revision names, as 40 hexadecimal digits.
    pub fn commit_of(&self, rev: &str) -> Result<String> {
        let sh = self.sh;
        let commit = format!("{rev}^{{commit}}");
        command::read(cmd!(sh, "git rev-parse --verify --quiet {commit}"))
            .and_then(object_id)
            .with_context(|| format!("failed to find the commit of `{rev}`"))
    }

    /// The id of the tree that a revision holds.
    pub fn tree_of(&self, rev: &str) -> Result<String> {
        let sh = self.sh;
        let tree = format!("{rev}^{{tree}}");
        command::read(cmd!(sh, "git rev-parse --verify --quiet {tree}")).and_then(object_id)
    }

    /// The id of the tree that a commit of every tracked file as it is now would have.
    pub fn tree_of_tracked_files(&self) -> Result<String> {
        let sh = self.sh;
        let scratch = self.scratch()?;
        let index = scratch.0.as_path();
        std::fs::copy(self.git_path("index")?, index).context("failed to copy git's index")?;
        command::read(cmd!(sh, "git add --update .").env("GIT_INDEX_FILE", index))?;
        command::read(cmd!(sh, "git write-tree").env("GIT_INDEX_FILE", index)).and_then(object_id)
    }

    /// Where another index than git's own can be.
    fn scratch(&self) -> Result<RemoveOnDrop> {
        self.git_path(&format!("{SCRATCH}{}", std::process::id())).map(RemoveOnDrop)
    }

    /// The ids of files and directories in a tree, by their paths; what is not there is left out.
    pub fn ids_in(&self, tree: &str, paths: &[&str]) -> Result<BTreeMap<String, String>> {
        let sh = self.sh;
        let list = command::read(cmd!(sh, "git ls-tree -z {tree} -- {paths...}"))?;
        // MODE TYPE ID, a tab, and the path.
        let id = |line: &str| {
            let (about, path) = line.split_once('\t')?;
            Some((path.to_owned(), about.split(' ').nth(2)?.to_owned()))
        };
        names(&list)
            .map(|line| {
                let (path, id) = id(line)
                    .with_context(|| format!("expected an entry of a tree, found `{line}`"))?;
                Ok((path, object_id(id)?))
            })
            .collect()
    }

    /// The files in which two trees differ.
    pub fn differences(&self, a: &str, b: &str) -> Result<Vec<String>> {
        let sh = self.sh;
        let list = command::read(cmd!(sh, "git diff --no-renames --name-only -z {a} {b}"))?;
        Ok(names(&list).map(str::to_owned).collect())
    }

    /// The same, of some paths only.
    pub fn differences_in(&self, a: &str, b: &str, paths: &[&str]) -> Result<Vec<String>> {
        let sh = self.sh;
        let list =
            command::read(cmd!(sh, "git diff --no-renames --name-only -z {a} {b} -- {paths...}"))?;
        Ok(names(&list).map(str::to_owned).collect())
    }

    /// Where two histories part.
    pub fn merge_base(&self, a: &str, b: &str) -> Result<String> {
        let sh = self.sh;
        command::read(cmd!(sh, "git merge-base {a} {b}")).and_then(object_id)
    }

    /// The commits with this first line, on all branches, here and on remotes; newest first.
    pub fn commits_of(&self, subject: &str) -> Result<Vec<String>> {
        let sh = self.sh;
        let list = command::read(cmd!(sh, "git log --format=%H%x20%s HEAD --branches --remotes"))?;
        list.lines()
            .filter_map(|line| line.split_once(' '))
            .filter(|(_, found)| *found == subject)
            .map(|(commit, _)| object_id(commit.to_owned()))
            .collect()
    }

    /// The values of a trailer of a commit's message.
    pub fn trailers(&self, commit: &str, key: &str) -> Result<Vec<String>> {
        let sh = self.sh;
        let format = format!("--format=%(trailers:key={key},valueonly)");
        let values = command::read(cmd!(sh, "git log -1 {format} {commit}"))?;
        Ok(values.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect())
    }

    /// A file as a commit has it, byte for byte but for the end of its last line.
    pub fn file_in(&self, commit: &str, path: &str) -> Result<String> {
        let sh = self.sh;
        let name = format!("{commit}:{path}");
        command::read(cmd!(sh, "git show {name}"))
    }

    /// The files below some directories as a commit has them, by their paths.
    pub fn files_in(&self, commit: &str, dirs: &[&str]) -> Result<BTreeMap<String, String>> {
        let sh = self.sh;
        let list = command::read(cmd!(sh, "git ls-tree -r -z --name-only {commit} -- {dirs...}"))?;
        names(&list).map(|path| Ok((path.to_owned(), self.file_in(commit, path)?))).collect()
    }

    /// Has any branch of a remote, as it was fetched last, a commit with this first line?
    pub fn has_commit_on_remote(&self, remote: &str, subject: &str) -> Result<bool> {
        let sh = self.sh;
        let subjects = command::read(cmd!(sh, "git log --format=%s --remotes={remote}"))?;
        Ok(subjects.lines().any(|found| found == subject))
    }

    /// Makes the last commit anew on top of another one; touches neither branch, index nor files.
    /// Returns the new commit.
    ///
    /// # Errors
    /// When both change the same file.
    pub fn made_anew_on(&self, onto: &str) -> Result<String> {
        let sh = self.sh;
        let (base, tree) = (self.merge_base("HEAD", onto)?, self.scratch()?);
        let index = tree.0.as_path();
        command::read(
            cmd!(sh, "git read-tree -i -m --aggressive {base} HEAD {onto}")
                .env("GIT_INDEX_FILE", index),
        )?;
        let tree = command::read(cmd!(sh, "git write-tree").env("GIT_INDEX_FILE", index))
            .and_then(object_id)?;
        let message = command::read(cmd!(sh, "git log -1 --format=%B HEAD"))?;
        let sign = self.signs_commits()?.then_some("-S");
        let commit = cmd!(sh, "git commit-tree {sign...} -p {onto} -F - {tree}");
        command::read_from(commit, &format!("{message}\n"))
            .and_then(object_id)
            .context("failed to commit")
    }

    /// What `moves` does between its journal's first and last moment; twice is the same as once.
    pub fn carry(&self, from: &str, to: &str) -> Result<()> {
        let sh = self.sh;
        let paths = self.differences(from, to)?;
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        let (before, after) = (self.ids_in(from, &paths)?, self.ids_in(to, &paths)?);
        let literal = "--literal-pathspecs";
        if paths.is_empty() {
            return command::read(cmd!(sh, "git reset --quiet --mixed {to}")).map(drop);
        }
        // By content: what git's index remembers of a file may be older than a hook's edit of it.
        let is_plain = |path: &&str| self.root.join(path).is_file() && !path.contains('\n');
        let there: Vec<&str> = paths.iter().copied().filter(is_plain).collect();
        let hash = cmd!(sh, "git hash-object --stdin-paths");
        let ids = command::read_from(hash, &there.join("\n"))?;
        let now: BTreeMap<&str, &str> = there.into_iter().zip(ids.lines()).collect();
        let is_as_before = |path: &str| match (now.get(path), before.get(path)) {
            (Some(now), Some(before)) => now == before,
            _ => false,
        };
        let mut restored = Vec::new();
        for path in paths {
            let file = self.root.join(path);
            match (file.symlink_metadata().is_ok(), before.get(path), after.contains_key(path)) {
                // Nothing is lost by having it again.
                (false, _, true) => restored.push(path),
                (true, Some(_), true) if is_as_before(path) => restored.push(path),
                (true, Some(_), false) if is_as_before(path) => {
                    std::fs::remove_file(&file)
                        .with_context(|| format!("failed to remove `{}`", file.display()))?;
                }
                _ => {}
            }
        }
        if self.commit_of("HEAD")? != to {
            command::read(cmd!(sh, "git reset --quiet --mixed {to}"))?;
        }
        if !restored.is_empty() {
            command::read(cmd!(
                sh,
                "git {literal} restore --source {to} --worktree -- {restored...}"
            ))?;
        }
        Ok(())
    }

    /// Moves the current branch to where another one is, which has all that it has.
    pub fn fast_forward(&self, to: &str) -> Result<()> {
        let sh = self.sh;
        command::read(cmd!(sh, "git merge --quiet --ff-only {to}")).map(drop)
    }

    /// What git was in the middle of when it was left, as `merge`.
    pub fn unfinished(&self) -> Result<Option<&'static str>> {
        for (file, what) in [
            ("rebase-merge", "rebase"),
            ("rebase-apply", "rebase"),
            ("MERGE_HEAD", "merge"),
            ("CHERRY_PICK_HEAD", "cherry-pick"),
            ("REVERT_HEAD", "revert"),
        ] {
            if self.git_path(file)?.exists() {
                return Ok(Some(what));
            }
        }
        Ok(None)
    }

    /// Tracked files that differ from the last commit, each in backticks; none in a clean checkout.
    pub fn dirty(&self) -> Result<Vec<String>> {
        let sh = self.sh;
        let status = command::read(cmd!(sh, "git status --porcelain --untracked-files=no"))?;
        // Two letters, a space, and the path.
        Ok(status
            .lines()
            .filter_map(|line| line.get(3..))
            .map(|path| format!("`{path}`"))
            .collect())
    }

    /// Files below some directories that git was told not to look at (`assume-unchanged`,
    /// `skip-worktree`): it takes them for unchanged, whatever is in them.
    pub fn not_looked_at(&self, dirs: &[&str]) -> Result<Vec<String>> {
        let sh = self.sh;
        let list = command::read(cmd!(sh, "git ls-files -v -z -- {dirs...}"))?;
        let is_hidden = |tag: char| tag == 'S' || tag.is_ascii_lowercase();
        Ok(names(&list)
            .filter(|entry| entry.starts_with(is_hidden))
            .filter_map(|entry| entry.get(2..))
            .map(str::to_owned)
            .collect())
    }

    /// Does one of these tracked files differ from the last commit?
    pub fn is_dirty(&self, paths: &[&str]) -> Result<bool> {
        let sh = self.sh;
        Ok(!command::read(cmd!(sh, "git status --porcelain -- {paths...}"))?.is_empty())
    }

    /// Has the index have these files as the last commit does.
    pub fn unstage(&self, paths: &[&str]) -> Result<()> {
        let sh = self.sh;
        command::read(cmd!(sh, "git reset --quiet -- {paths...}")).map(drop)
    }

    /// Files under a directory that git neither tracks nor ignores.
    pub fn untracked(&self, dir: &str) -> Result<Vec<String>> {
        let sh = self.sh;
        let list = command::read(cmd!(sh, "git ls-files --others --exclude-standard -- {dir}"))?;
        Ok(list.lines().map(str::to_owned).collect())
    }

    /// The upstream of the current branch, as `refs/remotes/origin/main`, or `refs/heads/main`: it
    /// can be a local branch.
    pub fn upstream(&self) -> Result<Option<String>> {
        let sh = self.sh;
        let upstream = "@{upstream}";
        command::read_if_any(cmd!(sh, "git rev-parse --symbolic-full-name {upstream}"), FATAL)
    }

    pub fn is_shallow(&self) -> Result<bool> {
        let sh = self.sh;
        Ok(command::read(cmd!(sh, "git rev-parse --is-shallow-repository"))? == "true")
    }

    /// The address of a remote.
    pub fn remote_url(&self, remote: &str) -> Result<Option<String>> {
        let sh = self.sh;
        command::read_if_any(cmd!(sh, "git remote get-url {remote}"), NO_SUCH_REMOTE)
    }

    /// Fetches the branches of a remote; those that are gone there are forgotten.
    pub fn fetch(&self, remote: &str) -> Result<()> {
        let sh = self.sh;
        command::read(cmd!(sh, "git fetch --quiet --prune {remote}"))
            .with_context(|| format!("failed to fetch from `{remote}`"))?;
        Ok(())
    }

    /// How many commits `a` has that `b` has not.
    pub fn count_not_in(&self, a: &str, b: &str) -> Result<usize> {
        let sh = self.sh;
        let count = command::read(cmd!(sh, "git rev-list --count {b}..{a}"))?;
        count.parse().with_context(|| format!("failed to read git's count `{count}`"))
    }

    /// The first line of a commit's message.
    pub fn subject(&self, rev: &str) -> Result<String> {
        let sh = self.sh;
        command::read(cmd!(sh, "git log -1 --format=%s {rev}"))
    }

    /// The message of the newest commit here with a line that starts with a text.
    pub fn last_message_with(&self, start: &str) -> Result<Option<String>> {
        let sh = self.sh;
        let pattern = format!("^{start}");
        let found =
            command::read(cmd!(sh, "git log -1 --format=%B --basic-regexp --grep {pattern}"))?;
        Ok(Some(found).filter(|message| !message.is_empty()))
    }

    /// Does the remote have this branch, as last fetched?
    pub fn is_on_remote(&self, branch: &str, remote: &str) -> Result<bool> {
        self.ref_exists(&format!("refs/remotes/{remote}/{branch}"))
    }

    fn ref_exists(&self, name: &str) -> Result<bool> {
        let sh = self.sh;
        let found = command::read_if_any(cmd!(sh, "git show-ref --verify --quiet {name}"), NO)?;
        Ok(found.is_some())
    }

    /// The branches here and on a remote, as last fetched, by name, with what git calls them: those
    /// of the remote where both have one.
    pub fn branches(&self, remote: &str) -> Result<BTreeMap<String, String>> {
        let sh = self.sh;
        let (here, there) = ("refs/heads/".to_owned(), format!("refs/remotes/{remote}/"));
        let mut found = BTreeMap::new();
        for start in [here, there] {
            let list = command::read(cmd!(sh, "git for-each-ref --format=%(refname) {start}"))?;
            let names = list.lines().filter_map(|name| Some((name.strip_prefix(&start)?, name)));
            found.extend(
                names
                    .filter(|(branch, _)| *branch != "HEAD")
                    .map(|(branch, name)| (branch.to_owned(), name.to_owned())),
            );
        }
        Ok(found)
    }

    /// Where is this branch: here, on the remote (as last fetched), or nowhere?
    pub fn find_branch(&self, branch: &str, remote: &str) -> Result<BranchAt> {
        Ok(if self.ref_exists(&format!("refs/heads/{branch}"))? {
            BranchAt::Local
        } else if self.is_on_remote(branch, remote)? {
            BranchAt::Remote
        } else {
            BranchAt::Nowhere
        })
    }

    /// Checks out an existing branch.
    pub fn switch(&self, branch: &str) -> Result<()> {
        let sh = self.sh;
        self.switch_by(cmd!(sh, "git switch --quiet {branch}"), branch)
            .with_context(|| format!("failed to switch to branch `{branch}`"))
    }

    /// Makes a branch from the current commit and checks it out.
    pub fn switch_to_new(&self, branch: &str) -> Result<()> {
        let sh = self.sh;
        self.switch_by(cmd!(sh, "git switch --quiet --no-track --create {branch}"), branch)
            .with_context(|| format!("failed to create branch `{branch}`"))
    }

    /// Makes a branch that follows the remote's of the same name and checks it out.
    pub fn switch_to_remote(&self, branch: &str, remote: &str) -> Result<()> {
        let sh = self.sh;
        let switch = cmd!(sh, "git switch --quiet --create {branch} --track {remote}/{branch}");
        self.switch_by(switch, branch)
            .with_context(|| format!("failed to switch to branch `{remote}/{branch}`"))
    }

    /// Undoes what a switch between the last commit and another one had done when it was cut short:
    /// files are as the other has them, or gone. `false`: something else was changed as well, which
    /// is somebody's, and nothing was touched.
    pub fn undo_half_switch(&self, other: &str) -> Result<bool> {
        let sh = self.sh;
        let lines = |cmd| -> Result<Vec<String>> {
            Ok(command::read(cmd)?.lines().map(str::to_owned).collect())
        };
        let changed = lines(cmd!(sh, "git diff --no-renames --name-only HEAD"))?;
        let paths = &changed;
        if !changed.is_empty() {
            let known = "--diff-filter=d"; // what is gone can be had again
            let diff = cmd!(sh, "git diff --no-renames --name-only {known} {other} -- {paths...}");
            if !lines(diff)?.is_empty() {
                return Ok(false);
            }
        }
        let added = "--diff-filter=A";
        for path in lines(cmd!(sh, "git diff --no-renames --name-only {added} HEAD {other}"))? {
            let (file, blob) = (self.root.join(&path), format!("{other}:{path}"));
            let is_there = file.is_file()
                && command::read(cmd!(sh, "git hash-object -- {path}"))?
                    == command::read(cmd!(sh, "git rev-parse {blob}"))?;
            if is_there {
                std::fs::remove_file(&file)
                    .with_context(|| format!("failed to remove `{}`", file.display()))?;
            }
        }
        if !changed.is_empty() {
            command::read(cmd!(sh, "git restore --source HEAD --staged --worktree -- {paths...}"))?;
        }
        Ok(true)
    }

    /// What is committed next must not land elsewhere: it is looked at where one is afterwards.
    fn switch_by(&self, switch: Cmd<'_>, branch: &str) -> Result<()> {
        command::read(switch)?;
        match self.branch()? {
            Some(found) if found == branch => Ok(()),
            found => {
                let found = found.as_deref().unwrap_or("no branch");
                bail!("git says that it did, and `{found}` is checked out")
            }
        }
    }

    /// Deletes a branch that has no commits of its own.
    pub fn delete_merged_branch(&self, branch: &str) -> Result<()> {
        let sh = self.sh;
        command::read(cmd!(sh, "git branch --quiet --delete {branch}"))?;
        Ok(())
    }

    /// Commits the named files as they are now and nothing else.
    pub fn commit(&self, message: &str, paths: &[&str]) -> Result<()> {
        let sh = self.sh;
        let commit = cmd!(sh, "git commit --quiet --only --file=- -- {paths...}");
        command::read_from(commit, message).context("failed to commit")?;
        Ok(())
    }

    /// Asks the remote whether it would take a push, without one: of a branch that nobody has.
    pub fn may_push(&self, remote: &str) -> Result<()> {
        let sh = self.sh;
        command::read(cmd!(
            sh,
            "git push --quiet --dry-run --no-verify {remote} HEAD:refs/heads/xtask-may-push"
        ))
        .with_context(|| format!("failed to ask `{remote}` for the right to push"))
        .map(drop)
    }

    /// Are commits signed here?
    pub fn signs_commits(&self) -> Result<bool> {
        let sh = self.sh;
        let found =
            command::read_if_any(cmd!(sh, "git config --type=bool --get commit.gpgSign"), NO)?;
        Ok(found.as_deref() == Some("true"))
    }

    /// Signs a commit that no branch has.
    pub fn sign_a_trial(&self) -> Result<()> {
        let sh = self.sh;
        let tree = "HEAD^{tree}";
        command::read(cmd!(sh, "git commit-tree -S -m trial {tree}")).map(drop)
    }

    /// Those of the named hooks that git would run here.
    pub fn hooks<'n>(&self, names: &[&'n str]) -> Result<Vec<(&'n str, PathBuf)>> {
        let dir = self.git_path("hooks")?;
        let there = names.iter().map(|name| (*name, dir.join(name)));
        Ok(there.filter(|(_, path)| rustix::fs::access(path, Access::EXEC_OK).is_ok()).collect())
    }

    /// What a hook that is there makes of a message: `commit-msg`, or `prepare-commit-msg`. git has
    /// a command for that since 2.36; with an older one the message stays.
    ///
    /// # Errors
    /// When the hook refuses the message, with its words.
    pub fn message_by_hook(&self, name: &str, message: &str) -> Result<String> {
        let sh = self.sh;
        let mut file = tempfile::NamedTempFile::new()?;
        file.write_all(message.as_bytes())?;
        let file = file.path();
        // Where the message is from, as in a commit with `--file`: `commit-msg` is not told.
        let from = (name == "prepare-commit-msg").then_some("message");
        let output = command::output(cmd!(sh, "git hook run {name} -- {file} {from...}"))?;
        let words = output.stderr.trim();
        if output.success() {
            return std::fs::read_to_string(file).context("failed to read the message again");
        }
        if words.contains("'hook' is not a git command") {
            return Ok(message.to_owned());
        }
        bail!("{}: {words}", output.status_text())
    }

    /// Pushes a branch, which has all that the remote's has, and makes the remote's its upstream.
    /// Only while the remote's is at the commit `there`, or is not there: who takes commits off it
    /// must not get them back. No tags.
    pub fn push(&self, remote: &str, branch: &str, there: Option<&str>) -> Result<()> {
        let sh = self.sh;
        let name = format!("refs/heads/{branch}");
        if let Some(there) = there {
            anyhow::ensure!(
                self.count_not_in(there, branch)? == 0,
                "`{remote}/{branch}` has commits that `{branch}` lacks"
            );
        }
        let lease = format!("--force-with-lease={name}:{}", there.unwrap_or_default());
        command::read(cmd!(
            sh,
            "git push --quiet --no-follow-tags --set-upstream {lease} {remote} {name}:{name}"
        ))
        .with_context(|| format!("failed to push `{branch}` to `{remote}`"))?;
        Ok(())
    }

    /// Makes the remote's branch of the same name the upstream of one.
    pub fn set_upstream(&self, remote: &str, branch: &str) -> Result<()> {
        let sh = self.sh;
        command::read(cmd!(sh, "git branch --quiet --set-upstream-to={remote}/{branch} {branch}"))
            .map(drop)
    }

    /// git's own directory, the same for every worktree of a repository.
    pub fn common_dir(&self) -> Result<PathBuf> {
        let sh = self.sh;
        let dir = self.root.join(command::read(cmd!(sh, "git rev-parse --git-common-dir"))?);
        dir.canonicalize().with_context(|| format!("failed to find `{}`", dir.display()))
    }

    /// Locks of git's own that are there: of the index, of branches, of its configuration.
    pub fn lock_files(&self) -> Result<Vec<LockFile>> {
        let (common, own) = (self.common_dir()?, self.git_path("")?);
        let mut found = Vec::new();
        lock_files_in(&common, false, &mut found)?;
        if own.canonicalize().ok() != common.canonicalize().ok() {
            lock_files_in(&own, false, &mut found)?;
        }
        lock_files_in(&common.join("refs"), true, &mut found)?;
        // Those of other worktrees: a run that was killed there is told of here, too.
        for other in std::fs::read_dir(common.join("worktrees")).into_iter().flatten().flatten() {
            if other.path().canonicalize().ok() != own.canonicalize().ok() {
                lock_files_in(&other.path(), false, &mut found)?;
            }
        }
        Ok(found)
    }

    /// Does a git run in this repository, in whichever worktree? `None` where that cannot be told,
    /// as of a git of another user's.
    pub fn runs(&self) -> Option<bool> {
        std::fs::metadata("/proc/self/comm").ok()?;
        let mut places = vec![self.root.canonicalize().ok()?, self.common_dir().ok()?];
        places.extend(self.worktrees().ok()?);
        let is_here = |path: &Path| places.iter().any(|place| path.starts_with(place));
        let mut is_unknown = false;
        for entry in std::fs::read_dir("/proc").ok()?.flatten() {
            let name = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            if name.trim_end() != "git" && !name.starts_with("git-") {
                continue;
            }
            // It may be told by `--git-dir` where to work, and has files open there.
            match std::fs::read_link(entry.path().join("cwd")) {
                Ok(cwd) if is_here(&cwd) => return Some(true),
                Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                    is_unknown = true;
                }
                _ => {}
            }
            let arguments = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let is_told = arguments.split(|byte| *byte == 0).any(|argument| {
                let argument = String::from_utf8_lossy(argument);
                let path = argument.split_once('=').map_or(&*argument, |(_, path)| path);
                path.starts_with('/') && is_here(Path::new(path))
            });
            let files = std::fs::read_dir(entry.path().join("fd")).into_iter().flatten().flatten();
            let has_open = |file: std::fs::DirEntry| {
                std::fs::read_link(file.path()).is_ok_and(|path| is_here(&path))
            };
            if is_told || files.into_iter().any(has_open) {
                return Some(true);
            }
        }
        (!is_unknown).then_some(false)
    }

    /// The directories of all worktrees of this repository.
    fn worktrees(&self) -> Result<Vec<PathBuf>> {
        let sh = self.sh;
        let list = command::read(cmd!(sh, "git worktree list --porcelain"))?;
        Ok(list.lines().filter_map(|line| line.strip_prefix("worktree ")).map(Into::into).collect())
    }

    /// Removes the copies of git's index that a killed run left.
    pub fn remove_scratch(&self) -> Result<()> {
        let dir = self.git_path("")?;
        for entry in std::fs::read_dir(&dir)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with(SCRATCH) {
                std::fs::remove_file(&path)
                    .with_context(|| format!("failed to remove `{}`", path.display()))?;
            }
        }
        Ok(())
    }

    /// The path of a file in git's own directory.
    pub fn git_path(&self, name: &str) -> Result<PathBuf> {
        let sh = self.sh;
        Ok(self.root.join(command::read(cmd!(sh, "git rev-parse --git-path {name}"))?))
    }
}

/// A lock that git makes for the time of a change, and leaves when it is killed.
pub struct LockFile {
    pub path: PathBuf,
    /// When it was made, in seconds since 1970.
    pub since: u64,
}

impl LockFile {
    pub fn remove(&self) -> Result<()> {
        std::fs::remove_file(&self.path)
            .with_context(|| format!("failed to remove `{}`", self.path.display()))
    }

    /// In words, as `12 min`.
    pub fn age(&self) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        match now.saturating_sub(self.since) {
            seconds @ 0..120 => format!("{seconds} s"),
            seconds @ 120..7200 => format!("{} min", seconds / 60),
            seconds => format!("{} h", seconds / 3600),
        }
    }
}

/// The lock files in a directory and, where git keeps branches, below it.
fn lock_files_in(dir: &Path, is_deep: bool, found: &mut Vec<LockFile>) -> Result<()> {
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.with_context(|| format!("failed to list `{}`", dir.display()))?,
    };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() && is_deep {
            lock_files_in(&path, is_deep, found)?;
        }
        if path.is_file() && path.extension().is_some_and(|extension| extension == "lock") {
            let made = path.metadata().and_then(|metadata| metadata.modified()).ok();
            let since = made.and_then(|made| made.duration_since(UNIX_EPOCH).ok());
            found.push(LockFile { path, since: since.unwrap_or_default().as_secs() });
        }
    }
    Ok(())
}

/// What git calls an object by: 40 hexadecimal digits, or 64.
fn object_id(text: String) -> Result<String> {
    let is_id = [40, 64].contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
    anyhow::ensure!(is_id, "expected the id of an object from git, found `{text}`");
    Ok(text)
}

/// What a branch can be called (`git check-ref-format`): one word.
fn branch_name(text: String) -> Result<String> {
    let is_name =
        !text.is_empty() && !text.contains(|c: char| c.is_control() || " ~^:?*[\\".contains(c));
    anyhow::ensure!(
        is_name,
        "expected the name of a branch from git, found `{}`",
        text.escape_debug()
    );
    Ok(text)
}

/// The names in a list that `-z` ends with a NUL each: whatever is in them.
fn names(list: &str) -> impl Iterator<Item = &str> {
    list.split('\0').filter(|name| !name.is_empty())
}

struct RemoveOnDrop(PathBuf);

impl Drop for RemoveOnDrop {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

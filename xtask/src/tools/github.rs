//! GitHub's REST API, read through octocrab.
//!
//! `GITHUB_API_URL` and `GITHUB_SERVER_URL` are the bases, as in Actions; `GITHUB_TOKEN` is
//! optional for reading and is handed to octocrab only.

use std::pin::{Pin, pin};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use octocrab::Octocrab;
use octocrab::models::repos::{Object, Ref};
use serde::Deserialize;

use super::credentials;
use crate::failure::Failure;
use crate::interrupt;
use crate::model::config::Config;

/// How long a question may take, with all its pages and repetitions.
const LIMIT: Duration = Duration::from_secs(120);
const TICK: Duration = Duration::from_millis(50);

/// One repository on GitHub.
pub struct GitHub {
    api: String,
    server: String,
    token: Option<String>,
    owner: String,
    repo: String,
}

#[derive(Deserialize)]
struct AnnotatedTag {
    object: TaggedObject,
}

#[derive(Deserialize)]
struct TaggedObject {
    sha: String,
}

fn base(name: &str, default: &str) -> String {
    // One with a password in it was taken out.
    let kept = credentials::get(name).map(ToOwned::to_owned).or_else(|| std::env::var_os(name));
    let base = kept.and_then(|base| base.into_string().ok()).filter(|base| !base.is_empty());
    base.map_or_else(|| default.to_owned(), |base| base.trim_end_matches('/').to_owned())
}

fn server() -> String {
    base("GITHUB_SERVER_URL", "https://github.com")
}

/// The archive of a branch of a repository, `owner/name`.
pub fn archive_of_branch(repository: &str, branch: &str) -> String {
    format!("{}/{repository}/archive/refs/heads/{branch}.tar.gz", server())
}

impl GitHub {
    /// Upstream's repository, at the bases that the environment names.
    pub fn of_upstream(config: &Config) -> Self {
        Self {
            api: base("GITHUB_API_URL", "https://api.github.com"),
            server: server(),
            token: credentials::get("GITHUB_TOKEN")
                .map(|token| token.to_string_lossy().into_owned()),
            owner: config.owner().to_owned(),
            repo: config.repo().to_owned(),
        }
    }

    /// The archive of a commit: the file that `fetchFromGitHub { rev = …; }` takes. That of a tag
    /// has another top directory, and the same tree below it as long as the tag does not move.
    pub fn archive_url(&self, commit: &str) -> String {
        let Self { server, owner, repo, .. } = self;
        format!("{server}/{owner}/{repo}/archive/{commit}.tar.gz")
    }

    /// The page of a commit, for people.
    pub fn commit_page(&self, commit: &str) -> String {
        let Self { server, owner, repo, .. } = self;
        format!("{server}/{owner}/{repo}/tree/{commit}")
    }

    /// The commit of a tag, through an annotated tag if it is one; `None` if there is no such tag.
    pub fn commit_of_tag(&self, tag: &str) -> Result<Option<String>> {
        let Self { owner, repo, .. } = self;
        self.ask(&format!("find tag `{tag}` of `{owner}/{repo}`"), async |github| {
            let path = format!("/repos/{owner}/{repo}/git/ref/tags/{tag}");
            let Some(found) = found(github.get::<Ref, _, ()>(path, None).await)? else {
                return Ok(None);
            };
            match found.object {
                Object::Commit { sha, .. } => Ok(Some(sha)),
                Object::Tag { sha, .. } => {
                    let path = format!("/repos/{owner}/{repo}/git/tags/{sha}");
                    let tag: AnnotatedTag = github.get(path, None::<&()>).await?;
                    Ok(Some(tag.object.sha))
                }
                _ => Ok(None),
            }
        })
    }

    /// The names of all tags.
    pub fn tags(&self) -> Result<Vec<String>> {
        let Self { owner, repo, .. } = self;
        self.ask(&format!("list tags of `{owner}/{repo}`"), async |github| {
            let first = github.repos(owner, repo).list_tags().per_page(100).send().await?;
            let all = github.all_pages(first).await?;
            Ok(all.into_iter().map(|tag| tag.name).collect())
        })
    }

    fn ask<T>(
        &self,
        what: &str,
        question: impl AsyncFnOnce(Octocrab) -> octocrab::Result<T>,
    ) -> Result<T> {
        self.check_token()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let answer = runtime.block_on(async {
            let mut builder = Octocrab::builder().base_uri(&self.api)?;
            if let Some(token) = &self.token {
                builder = builder.personal_token(token.clone());
            }
            let question = pin!(question(builder.build()?));
            Ok(within(LIMIT, question).await)
        });
        // What it waits for, the name of a server at most, is not waited for.
        runtime.shutdown_background();
        let answer = match answer {
            Ok(answer) => answer.with_context(|| format!("failed to {what}"))?,
            Err(error) => Err(error),
        };
        answer.map_err(|error| self.failure(&error)).with_context(|| format!("failed to {what}"))
    }

    /// octocrab takes whatever can be in a header for granted.
    fn check_token(&self) -> Result<()> {
        let is_good = |byte: u8| byte.is_ascii_graphic();
        match &self.token {
            Some(token) if !token.bytes().all(is_good) => Err(Failure::usage(
                "expected a token of letters, digits and signs in `GITHUB_TOKEN`, found a space, a \
                 line break or another character that no header holds",
            )
            .hint("set it anew, or unset it: reading needs none")
            .into()),
            _ => Ok(()),
        }
    }

    fn failure(&self, error: &octocrab::Error) -> Failure {
        let Self { api, .. } = self;
        let octocrab::Error::GitHub { source, .. } = error else {
            return Failure::failed(format!("no usable answer from `{api}`: {}", innermost(error)))
                .hint("is the network there, and `GITHUB_API_URL` right?");
        };
        let status = source.status_code.as_u16();
        let failure = Failure::failed(format!("GitHub answered {status}: {}", source.message));
        match (status, &self.token) {
            (403 | 429, None) => failure.hint("set `GITHUB_TOKEN`: it raises the rate limit"),
            (401, Some(_)) => failure.hint("`GITHUB_TOKEN` is not accepted: renew or unset it"),
            _ => failure,
        }
    }
}

/// Waits for an answer, but not beyond a limit, nor once this program was asked to stop.
async fn within<T>(limit: Duration, mut answer: Pin<&mut impl Future<Output = T>>) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Ok(answer) = tokio::time::timeout(TICK, answer.as_mut()).await {
            return Ok(answer);
        }
        interrupt::check()?;
        if start.elapsed() >= limit {
            return Err(Failure::failed(format!("no answer within {} s", limit.as_secs()))
                .hint("is the network there, and `GITHUB_API_URL` right?")
                .into());
        }
    }
}

/// Tells absence (404) from other errors.
fn found<T>(answer: octocrab::Result<T>) -> octocrab::Result<Option<T>> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(octocrab::Error::GitHub { source, .. }) if source.status_code.as_u16() == 404 => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The words of the error at the bottom of a chain: above it stand only the layers' names.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

//! GitHub's REST API, read through octocrab.
//!
//! `GITHUB_API_URL` and `GITHUB_SERVER_URL` are the bases, as in Actions; `GITHUB_TOKEN` is
//! optional for reading and is handed to octocrab only.

use std::pin::{Pin, pin};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result};
use octocrab::Octocrab;
use octocrab::service::middleware::retry::RetryConfig;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::credentials;
use super::pauses::{self, PAUSES, Pauses};
use crate::failure::Failure;
use crate::interrupt;
use crate::model::config::Config;
use crate::ui;

/// How long a question may take, with all its pages and repetitions.
const LIMIT: Duration = Duration::from_secs(120);
const TICK: Duration = Duration::from_millis(50);
/// A tag of a tag of a tag is followed this far.
const DEEPEST_TAG: usize = 5;

/// One repository on GitHub.
pub struct GitHub {
    api: String,
    server: String,
    token: Option<String>,
    owner: String,
    repo: String,
}

/// What a tag's name stands for.
#[derive(Deserialize)]
struct Reference {
    #[serde(rename = "ref")]
    name: String,
    object: Object,
}

#[derive(Deserialize)]
struct AnnotatedTag {
    object: Object,
}

#[derive(Deserialize)]
struct Object {
    #[serde(rename = "type")]
    kind: String,
    sha: String,
}

#[derive(Deserialize)]
struct Tag {
    name: String,
}

/// The body of every error of the API.
#[derive(Deserialize)]
struct Refusal {
    message: String,
}

/// An answer of any status.
struct Answer {
    status: u16,
    has_next: bool,
    /// How long to wait before the next question, if it says so.
    wait: Option<Duration>,
    is_limited: bool,
    body: String,
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
            let Some(answer) = self.get(&github, &path).await? else { return Ok(None) };
            let Reference { name, mut object } = self.read(&answer)?;
            if name != format!("refs/tags/{tag}") {
                return Err(self.unusable(&format!("it is about `{name}`")).into());
            }
            for _ in 0..DEEPEST_TAG {
                match object.kind.as_str() {
                    "commit" => return Ok(Some(object.sha)),
                    "tag" => {}
                    kind => anyhow::bail!("expected a commit, found a {kind}"),
                }
                let path = format!("/repos/{owner}/{repo}/git/tags/{}", object.sha);
                let answer = self.get(&github, &path).await?;
                let answer = answer.ok_or_else(|| self.unusable("a tag without its object"))?;
                object = self.read::<AnnotatedTag>(&answer)?.object;
            }
            anyhow::bail!("expected a commit, found tags of tags")
        })
    }

    /// The names of all tags.
    ///
    /// # Errors
    /// When there is none, too: upstream has some, so that is no answer.
    pub fn tags(&self) -> Result<Vec<String>> {
        let Self { owner, repo, .. } = self;
        self.ask(&format!("list tags of `{owner}/{repo}`"), async |github| {
            let mut names = Vec::new();
            for page in 1.. {
                let path = format!("/repos/{owner}/{repo}/tags?per_page=100&page={page}");
                let answer = self.get(&github, &path).await?;
                let answer = answer.ok_or_else(|| {
                    Failure::failed("GitHub answered 404: it shows no such repository")
                })?;
                let tags: Vec<Tag> = self.read(&answer)?;
                if tags.is_empty() {
                    return Err(self.unusable("a list without a tag").into());
                }
                names.extend(tags.into_iter().map(|tag| tag.name));
                if !answer.has_next {
                    break;
                }
            }
            Ok(names)
        })
    }

    fn ask<T>(&self, what: &str, question: impl AsyncFnOnce(Octocrab) -> Result<T>) -> Result<T> {
        self.check_token()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let answer = runtime.block_on(async {
            if !["http://", "https://"].iter().any(|scheme| self.api.starts_with(scheme)) {
                return Err(self.unusable("no address of a server").into());
            }
            // Its own way to ask again knows no pauses.
            let mut builder = Octocrab::builder()
                .base_uri(&self.api)
                .map_err(|error| self.unusable(&innermost(&error)))?
                .add_retry_config(RetryConfig::None);
            if let Some(token) = &self.token {
                builder = builder.personal_token(token.clone());
            }
            let question = pin!(question(builder.build()?));
            within(LIMIT, question).await?
        });
        // What it waits for, the name of a server at most, is not waited for.
        runtime.shutdown_background();
        answer.with_context(|| format!("failed to {what}"))
    }

    /// An answer with status 200, or `None` where GitHub says that there is no such thing. Whoever
    /// else answers 404, a portal or a proxy, has not been asked for it.
    async fn get(&self, github: &Octocrab, path: &str) -> Result<Option<Answer>> {
        let mut pauses = Pauses::new(&PAUSES);
        loop {
            let (failure, wait) = match Answer::to(github, path).await {
                Ok(answer) if answer.status == 200 => return Ok(Some(answer)),
                Ok(answer) if answer.is_absence() => return Ok(None),
                Ok(answer) if answer.status < 500 => return Err(self.refused(&answer).into()),
                Ok(answer) => (self.refused(&answer), answer.wait),
                Err(error) => {
                    let words = innermost(&error);
                    let failure = self.unusable(&words);
                    if words.contains("scheme") {
                        return Err(failure.into());
                    }
                    (failure, None)
                }
            };
            let Some(pause) = pauses.next(wait) else { return Err(failure.into()) };
            ui::warning(format!("{failure}; once more in {} s", pause.as_secs()));
            tokio::time::sleep(pause).await;
        }
    }

    fn read<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T> {
        serde_json::from_str(&answer.body).map_err(|error| self.unusable(&error.to_string()).into())
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

    fn unusable(&self, words: &str) -> Failure {
        Failure::failed(format!("no usable answer from `{}`: {words}", self.api))
            .hint("is the network there, and `GITHUB_API_URL` right?")
    }

    fn refused(&self, answer: &Answer) -> Failure {
        let status = answer.status;
        let Some(Refusal { message }) = answer.refusal() else {
            let failure = self.unusable(&format!("status {status}, without words of GitHub's"));
            return self.with_limits(answer, failure);
        };
        let failure = Failure::failed(format!("GitHub answered {status}: {message}"));
        match (status, &self.token) {
            (401, Some(_)) => failure.hint("`GITHUB_TOKEN` is not accepted: renew or unset it"),
            _ => self.with_limits(answer, failure),
        }
    }

    /// Adds what to do about a rate limit.
    fn with_limits(&self, answer: &Answer, mut failure: Failure) -> Failure {
        if answer.is_limited && self.token.is_none() {
            failure = failure.hint("set `GITHUB_TOKEN`: it raises the rate limit");
        }
        match answer.wait {
            Some(wait) => failure.hint(format!("wait for {} s", wait.as_secs())),
            None => failure,
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

impl Answer {
    async fn to(github: &Octocrab, path: &str) -> octocrab::Result<Self> {
        let response = github._get(path).await?;
        let status = response.status().as_u16();
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let number = |name| header(name).and_then(|value| value.parse().ok());
        let is_used_up = status < 500 && number("x-ratelimit-remaining") == Some(0);
        let reset = number("x-ratelimit-reset").filter(|_| is_used_up).map(Duration::from_secs);
        let until_reset = reset.and_then(|reset| {
            let now = SystemTime::UNIX_EPOCH.elapsed().ok()?;
            Some(Duration::from_secs(reset.saturating_sub(now).as_secs() + 1))
        });
        let wait = header("retry-after").and_then(pauses::asked_for).or(until_reset);
        let has_next = header("link").is_some_and(|link| link.contains("rel=\"next\""));
        let body = github.body_to_string(response).await?;
        let mut answer = Self { status, has_next, wait, is_limited: false, body };
        // A 403 may be anything.
        answer.is_limited = status == 429
            || status == 403
                && (is_used_up
                    || wait.is_some()
                    || answer.refusal().is_some_and(|it| it.message.contains("rate limit")));
        Ok(answer)
    }

    fn refusal(&self) -> Option<Refusal> {
        serde_json::from_str(&self.body).ok()
    }

    /// Is it GitHub's own 404?
    fn is_absence(&self) -> bool {
        self.status == 404 && self.refusal().is_some_and(|it| it.message == "Not Found")
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

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;
    use std::sync::mpsc::{self, Receiver};
    use std::thread;

    use super::*;

    /// Answers one question after the other, and tells when each came.
    fn serve(answers: Vec<(&'static str, &'static str)>) -> (GitHub, Receiver<Instant>) {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let api = format!("http://{}", server.local_addr().unwrap());
        let (asked, questions) = mpsc::channel();
        thread::spawn(move || {
            for (head, body) in answers {
                let (mut stream, _) = server.accept().unwrap();
                let reader = BufReader::new(stream.try_clone().unwrap());
                reader.lines().map_while(Result::ok).take_while(|it| !it.is_empty()).for_each(drop);
                let _ = asked.send(Instant::now());
                let length = body.len();
                let head =
                    format!("HTTP/1.1 {head}\r\nConnection: close\r\nContent-Length: {length}");
                let _ = stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes());
            }
        });
        let (owner, repo) = ("o".to_owned(), "r".to_owned());
        (GitHub { server: api.clone(), api, token: None, owner, repo }, questions)
    }

    fn said(error: &anyhow::Error) -> String {
        crate::failure::render(error)
    }

    const NOT_FOUND: &str = r#"{"message": "Not Found", "status": "404"}"#;

    #[test]
    fn only_github_says_that_there_is_no_such_tag() {
        let of_tag = |answer| serve(vec![answer]).0.commit_of_tag("1.0.0");
        assert_eq!(of_tag(("404 Not Found", NOT_FOUND)).unwrap(), None);
        let good = r#"{"ref": "refs/tags/1.0.0", "object": {"type": "commit", "sha": "a"}}"#;
        assert_eq!(of_tag(("200 OK", good)).unwrap().as_deref(), Some("a"));
        let other = r#"{"ref": "refs/tags/1.0.0rc1", "object": {"type": "commit", "sha": "a"}}"#;
        let tree = r#"{"ref": "refs/tags/1.0.0", "object": {"type": "tree", "sha": "a"}}"#;
        for answer in [
            ("404 Not Found", "<html>portal</html>"),
            ("404 Not Found", r#"{"message": "no route"}"#),
            ("404 Not Found", "[]"),
            ("200 OK", "<html>portal</html>"),
            ("200 OK", "[]"),
            ("200 OK", other),
            ("200 OK", tree),
        ] {
            assert!(of_tag(answer).is_err(), "{answer:?}");
        }
    }

    #[test]
    fn a_list_without_a_tag_is_no_answer() {
        let tags = |answers| serve(answers).0.tags();
        let first = ("200 OK\r\nLink: <http://x/?page=2>; rel=\"next\"", r#"[{"name": "2"}]"#);
        assert_eq!(tags(vec![first, ("200 OK", r#"[{"name": "1"}]"#)]).unwrap(), ["2", "1"]);
        for body in ["[]", "{}", r#"{"items": []}"#, r#"{"name": "1"}"#, "null", "", "<html>"] {
            assert!(tags(vec![("200 OK", body)]).is_err(), "{body}");
            assert!(tags(vec![first, ("200 OK", body)]).is_err(), "{body}");
        }
        let error = said(&tags(vec![("200 OK", "[]")]).unwrap_err());
        assert!(error.contains(": a list without a tag\nhint: is the network there"), "{error}");
        assert!(tags(vec![("404 Not Found", NOT_FOUND)]).is_err());
    }

    #[test]
    fn a_refusal_is_final_and_says_how_long_to_wait() {
        let html = "<html>portal</html>";
        let limit = r#"{"message": "API rate limit exceeded"}"#;
        let token = "hint: set `GITHUB_TOKEN`: it raises the rate limit\n";
        for (answer, hints) in [
            (("429 Too Many\r\nRetry-After: 5", html), &[token, "hint: wait for 5 s\n"][..]),
            (("403 No", limit), &[token]),
            (("403 No\r\nx-ratelimit-remaining: 0\r\nx-ratelimit-reset: 1", html), &[token]),
            (("403 No\r\nRetry-After: 7", html), &[token, "hint: wait for 7 s\n"]),
            (("401 No", html), &[]),
        ] {
            // Nobody would answer a second time.
            let (github, questions) = serve(vec![answer]);
            let error = said(&github.tags().unwrap_err());
            assert!(hints.iter().all(|hint| error.contains(hint)), "{error}");
            assert_eq!(error.contains("GITHUB_TOKEN"), hints.contains(&token), "{error}");
            assert_eq!(questions.iter().count(), 1, "{answer:?}");
        }
    }

    #[test]
    fn a_server_in_trouble_is_asked_again_after_a_pause() {
        let good = ("200 OK", r#"[{"name": "1"}]"#);
        for (trouble, pause) in [("500 x", 1), ("503 Busy\r\nRetry-After: 2", 2)] {
            let (github, questions) = serve(vec![(trouble, "<html>"), good]);
            assert_eq!(github.tags().unwrap(), ["1"]);
            let at: Vec<Instant> = questions.iter().collect();
            assert!(at[1] - at[0] >= Duration::from_secs(pause), "{trouble}");
        }
        let (github, questions) = serve(vec![("503 Busy\r\nRetry-After: 3600", "")]);
        let error = said(&github.tags().unwrap_err());
        assert!(error.contains("hint: wait for 3600 s\n"), "{error}");
        assert_eq!(questions.iter().count(), 1);
    }

    #[test]
    fn an_address_that_leads_nowhere_is_not_asked_again() {
        let start = Instant::now();
        let (mut github, _questions) =
            serve(vec![("302 Found\r\nLocation: ftp://127.0.0.1/x", "")]);
        assert!(github.tags().is_err());
        for api in ["ftp://127.0.0.1", "127.0.0.1", "http://a b", "http://"] {
            github.api = api.to_owned();
            assert!(github.tags().is_err(), "{api}");
        }
        assert!(start.elapsed() < PAUSES[0], "{:?}", start.elapsed());
    }
}

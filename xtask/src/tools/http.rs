//! Plain downloads, streamed.
//!
//! A server is read in a thread of its own, so that the first signal ends a download wherever it
//! hangs. What breaks off, goes silent or only trickles is asked for again from where it stopped,
//! after a pause, or from the start where the server does not go on from there; what the reader
//! has is skipped then. A refusal (4xx) is final, and so is an address that leads nowhere.

use std::io::Read;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use ureq::http::{HeaderMap, StatusCode};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body, Proxy};

use super::credentials;
use super::pauses::{self, PAUSES, Pauses};
use crate::failure::Failure;
use crate::interrupt;
use crate::ui;

/// When a server has been waited for enough.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// How long it may say nothing in the middle of a file.
    silence: Duration,
    /// How many bytes it has to send in as long a time of waiting for it.
    slowest: u64,
    pauses: &'static [Duration],
}

/// Upstream's archive has about 100 MB: at 64 KiB a minute it would take a day. A modem is five
/// times as fast.
const LIMITS: Limits =
    Limits { silence: Duration::from_secs(60), slowest: 64 << 10, pauses: &PAUSES };
const TICK: Duration = Duration::from_millis(50);
const CHUNK: usize = 64 << 10;
/// How many chunks are read ahead.
const AHEAD: usize = 16;

/// Opens a URL and returns its body, to be read as it arrives.
///
/// # Errors
/// When the server cannot be reached or answers anything but 200; names the URL.
pub fn get(url: &str) -> Result<Download> {
    get_within(url, LIMITS)
}

fn get_within(url: &str, limits: Limits) -> Result<Download> {
    let mut download = Download {
        url: url.to_owned(),
        limits,
        events: Attempt::start(url, 0, From::Start),
        chunk: Vec::new(),
        read: 0,
        received: 0,
        from: From::Here,
        is_ended: false,
        is_end_announced: true,
        version: None,
        window: Window::default(),
        pauses: Pauses::new(limits.pauses),
    };
    download.open()?;
    Ok(download)
}

/// A body that comes, perhaps in several attempts.
pub struct Download {
    url: String,
    limits: Limits,
    events: Receiver<Result<Event, Failed>>,
    chunk: Vec<u8>,
    /// How much of the chunk was handed on.
    read: usize,
    received: u64,
    /// What the next attempt asks for.
    from: From,
    /// Whether all of it came. A reader may ask again after the end.
    is_ended: bool,
    /// Whether the server says where the end is. Else it is where the connection ends, however
    /// that came.
    is_end_announced: bool,
    /// Which version of the file it is (`ETag`), where the server says.
    version: Option<String>,
    window: Window,
    pauses: Pauses,
}

/// What an attempt asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    /// What is not there yet.
    Here,
    /// All of it: what is there already is skipped.
    Start,
}

/// How much came while a server was waited for. A reader that is slow itself does not count.
#[derive(Debug, Default)]
struct Window {
    waited: Duration,
    bytes: u64,
}

enum Event {
    /// The server sends the file.
    Opened {
        version: Option<String>,
        is_end_announced: bool,
    },
    Bytes(Vec<u8>),
    /// So many bytes came that are there already.
    Skipped(u64),
    End,
}

/// Why an attempt failed, and whether another one is worth it.
struct Failed {
    error: Failure,
    again: Again,
}

enum Again {
    No,
    /// Not before as long as the server asks for.
    Yes(Option<Duration>),
    /// The server does not go on in the middle of this file.
    FromStart,
}

impl Download {
    /// Reads up to the first byte.
    fn open(&mut self) -> Result<()> {
        loop {
            match self.next() {
                Ok(Event::Opened { version, is_end_announced }) => {
                    (self.version, self.is_end_announced) = (version, is_end_announced);
                    return Ok(());
                }
                Ok(_) => {}
                Err(error) => self.try_again(error)?,
            }
        }
    }

    /// Is it read to an end that nobody announced, so that there may be more?
    pub fn may_be_cut_short(&self) -> bool {
        self.is_ended && !self.is_end_announced
    }

    /// Begins anew, for a reader that begins anew, after a pause. The error is why, and what comes
    /// of it when there were attempts enough.
    pub fn start_over(&mut self, error: anyhow::Error) -> Result<()> {
        self.received = 0;
        (self.chunk, self.read, self.is_ended) = (Vec::new(), 0, false);
        let error = failed(&self.url).caused_by(error);
        self.try_again(Failed { error, again: Again::FromStart })?;
        self.from = From::Here;
        self.open()
    }

    fn next(&mut self) -> Result<Event, Failed> {
        let Limits { silence, slowest, .. } = self.limits;
        let start = Instant::now();
        let event = loop {
            if let Err(error) = interrupt::check() {
                return Err(Failed { error: failed(&self.url).caused_by(error), again: Again::No });
            }
            match self.events.recv_timeout(TICK) {
                Ok(event) => break event,
                Err(RecvTimeoutError::Timeout) if start.elapsed() < silence => {}
                Err(RecvTimeoutError::Timeout) => {
                    return Err(self.stopped(format!("nothing came for {} s", silence.as_secs())));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(self.stopped("it broke off".to_owned()));
                }
            }
        };
        if matches!(event, Ok(Event::Opened { .. })) {
            self.window = Window::default();
            return event;
        }
        self.window.waited += start.elapsed();
        self.window.bytes += match &event {
            Ok(Event::Bytes(bytes)) => bytes.len() as u64,
            Ok(Event::Skipped(count)) => *count,
            _ => 0,
        };
        if self.window.waited >= silence {
            let Window { waited, bytes } = std::mem::take(&mut self.window);
            if bytes < slowest && !matches!(event, Ok(Event::End)) {
                let words = format!(
                    "it is too slow: {bytes} bytes in {} s, expected {slowest} at least",
                    waited.as_secs()
                );
                return Err(self.stopped(words));
            }
        }
        event
    }

    fn stopped(&self, words: String) -> Failed {
        let error = failed(&self.url).caused_by(anyhow::anyhow!(words));
        Failed { error: error.hint("is the network there?"), again: Again::Yes(None) }
    }

    /// Starts another attempt, after a pause, unless there were enough.
    fn try_again(&mut self, Failed { error, again }: Failed) -> Result<()> {
        let pause = match again {
            Again::No => None,
            Again::Yes(asked) => self.pauses.next(asked),
            Again::FromStart => {
                self.from = From::Start;
                self.pauses.next(None)
            }
        };
        let Some(pause) = pause else { return Err(error.into()) };
        let error = anyhow::Error::new(error);
        ui::warning(format!("{error:#}; once more in {} s", pause.as_secs()));
        let until = Instant::now() + pause;
        while Instant::now() < until {
            interrupt::check()?;
            thread::sleep(TICK);
        }
        self.window = Window::default();
        self.events = Attempt::start(&self.url, self.received, self.from);
        Ok(())
    }

    /// The next bytes; none at the end.
    fn fill(&mut self) -> Result<()> {
        while self.read == self.chunk.len() && !self.is_ended {
            match self.next() {
                Ok(Event::Bytes(bytes)) => {
                    self.received += bytes.len() as u64;
                    (self.chunk, self.read) = (bytes, 0);
                }
                Ok(Event::Skipped(_)) => {}
                Ok(Event::End) => self.is_ended = true,
                Ok(Event::Opened { version, is_end_announced }) if version == self.version => {
                    self.is_end_announced = is_end_announced;
                }
                Ok(Event::Opened { .. }) => {
                    let other = anyhow::anyhow!("the file changed while it was downloaded");
                    return Err(failed(&self.url).caused_by(other).hint("try again").into());
                }
                Err(error) => self.try_again(error)?,
            }
        }
        Ok(())
    }
}

impl Read for Download {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.fill().map_err(std::io::Error::other)?;
        let rest = &self.chunk[self.read..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.read += count;
        Ok(count)
    }
}

/// One request, in its thread. Whoever waits for it may be gone.
struct Attempt {
    url: String,
    /// How much is there already.
    received: u64,
    is_range: bool,
    events: SyncSender<Result<Event, Failed>>,
}

impl Attempt {
    fn start(url: &str, received: u64, from: From) -> Receiver<Result<Event, Failed>> {
        let (events, receiver) = mpsc::sync_channel(AHEAD);
        let is_range = from == From::Here && received > 0;
        let attempt = Self { url: url.to_owned(), received, is_range, events };
        thread::spawn(move || {
            if let Err(error) = attempt.run() {
                let _ = attempt.events.send(Err(error));
            }
        });
        receiver
    }

    fn run(&self) -> Result<(), Failed> {
        let mut request = agent(&self.url).get(&self.url);
        if self.is_range {
            request = request.header("Range", format!("bytes={}-", self.received));
        }
        let response = request.call().map_err(|error| self.broken(error))?;
        let headers = response.headers();
        // A server that knows no ranges sends all of it again.
        let mut skip = match response.status() {
            StatusCode::OK => self.received,
            StatusCode::PARTIAL_CONTENT if self.is_range => {
                let range = text(headers, "Content-Range").unwrap_or("none");
                if !range.starts_with(&format!("bytes {}-", self.received)) {
                    let asked = format!("bytes from {} on", self.received);
                    return Err(self.misplaced(&format!("{asked}, found `{range}`")));
                }
                0
            }
            StatusCode::RANGE_NOT_SATISFIABLE if self.is_range => {
                // All of it came, and only its end did not.
                let size =
                    text(headers, "Content-Range").and_then(|it| it.strip_prefix("bytes */"));
                if size.and_then(|size| size.trim().parse().ok()) == Some(self.received) {
                    return self.send(Event::End).map_or(Ok(()), Ok);
                }
                return Err(self.misplaced("more bytes, found status 416"));
            }
            status => return Err(self.refused(status, headers)),
        };
        let version = text(headers, "ETag").map(str::to_owned);
        let is_end_announced = is_end_announced(headers, response.body());
        if self.send(Event::Opened { version, is_end_announced }).is_none() {
            return Ok(());
        }
        let mut body = response.into_body().into_reader();
        loop {
            let mut chunk = vec![0; CHUNK];
            let count = body.read(&mut chunk).map_err(|error| self.broken(error.into()))?;
            chunk.truncate(count);
            let skipped = skip.min(count as u64);
            skip -= skipped;
            chunk.drain(..usize::try_from(skipped).unwrap_or(count));
            let event = match (count, chunk.is_empty()) {
                (0, _) if skip > 0 => return Err(self.misplaced("as many bytes as came before")),
                (0, _) => return self.send(Event::End).map_or(Ok(()), Ok),
                (_, true) => Event::Skipped(skipped),
                _ => Event::Bytes(chunk),
            };
            if self.send(event).is_none() {
                return Ok(());
            }
        }
    }

    /// `None`: nobody waits any more.
    fn send(&self, event: Event) -> Option<()> {
        self.events.send(Ok(event)).ok()
    }

    fn broken(&self, error: ureq::Error) -> Failed {
        use ureq::Error::{
            BadUri, Http, InvalidProxyUrl, Protocol, RedirectFailed, TooManyRedirects,
        };
        let leads_nowhere = match &error {
            BadUri(_) | Http(_) | InvalidProxyUrl | RedirectFailed | TooManyRedirects => true,
            Protocol(error) => error.to_string().contains("location header"),
            _ => false,
        };
        let (hint, again) = match leads_nowhere {
            true => ("is the address right, and that of the proxy?", Again::No),
            false => ("is the network there?", Again::Yes(None)),
        };
        Failed { error: failed(&self.url).caused_by(error).hint(hint), again }
    }

    fn misplaced(&self, expected: &str) -> Failed {
        let error = failed(&self.url).caused_by(anyhow::anyhow!("expected {expected}"));
        Failed { error, again: Again::FromStart }
    }

    fn refused(&self, status: StatusCode, headers: &HeaderMap) -> Failed {
        let words = match status.as_u16() {
            404 => "the server answered 404: there is no such file".to_owned(),
            status => format!("the server answered {status}"),
        };
        let mut error = failed(&self.url).caused_by(anyhow::anyhow!(words));
        let asked = text(headers, "Retry-After").and_then(pauses::asked_for);
        if let Some(asked) = asked {
            error = error.hint(format!("wait for {} s", asked.as_secs()));
        }
        let again = if status.is_server_error() { Again::Yes(asked) } else { Again::No };
        Failed { error, again }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn is_end_announced(headers: &HeaderMap, body: &Body) -> bool {
    let is_chunked = text(headers, "Transfer-Encoding")
        .is_some_and(|encoding| encoding.to_ascii_lowercase().contains("chunked"));
    is_chunked || body.content_length().is_some()
}

fn failed(url: &str) -> Failure {
    Failure::failed(format!("failed to download `{url}`"))
}

fn agent(url: &str) -> Agent {
    let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
    Agent::config_builder()
        .tls_config(tls)
        .proxy(proxy(url))
        .http_status_as_error(false)
        .timeout_connect(Some(Duration::from_secs(30)))
        .timeout_recv_response(Some(LIMITS.silence))
        .user_agent(concat!("dagster-flox-xtask/", env!("CARGO_PKG_VERSION")))
        .build()
        .into()
}

/// The proxy for an address, as the environment names it, or named it before its password was
/// taken out.
fn proxy(url: &str) -> Option<Proxy> {
    proxy_of(url, |name| {
        let kept = credentials::get(name).map(ToOwned::to_owned);
        kept.or_else(|| std::env::var_os(name))?.into_string().ok()
    })
}

fn proxy_of(url: &str, variable: impl Fn(&str) -> Option<String>) -> Option<Proxy> {
    let find = |name: &str| {
        let names = [name.to_owned(), name.to_uppercase()];
        names.iter().filter_map(|name| variable(name)).find(|value| !value.trim().is_empty())
    };
    let own = if url.to_lowercase().starts_with("https:") { "https_proxy" } else { "http_proxy" };
    let named = Proxy::new(find(own).or_else(|| find("all_proxy"))?.trim()).ok()?;
    let mut proxy = Proxy::builder(named.protocol()).host(named.host()).port(named.port());
    if let Some(name) = named.username() {
        proxy = proxy.username(name);
    }
    if let Some(password) = named.password() {
        proxy = proxy.password(password);
    }
    // A host stands for what is below it, too, as curl and pip have it.
    for host in find("no_proxy").unwrap_or_default().split(',').map(str::trim) {
        proxy = proxy.no_proxy(host).no_proxy(&format!(".{}", host.trim_start_matches('.')));
    }
    proxy.build().ok()
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// Serves one connection after the other, each with its own answer to the headers.
    fn serve(answers: Vec<fn(&mut TcpStream, &str)>) -> String {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/file", server.local_addr().unwrap());
        thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = server.accept().unwrap();
                let reader = BufReader::new(stream.try_clone().unwrap());
                let headers: Vec<String> =
                    reader.lines().map_while(Result::ok).take_while(|it| !it.is_empty()).collect();
                answer(&mut stream, &headers.join("\n").to_lowercase());
            }
        });
        url
    }

    fn half(stream: &mut TcpStream, _: &str) {
        let _ =
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\nETag: \"a\"\r\n\r\nabcd");
    }

    const SHORT: [Duration; 3] = [Duration::from_millis(1); 3];

    fn downloaded(answers: Vec<fn(&mut TcpStream, &str)>) -> Result<String> {
        let mut text = String::new();
        let limits = Limits { pauses: &SHORT, ..LIMITS };
        get_within(&serve(answers), limits)?.read_to_string(&mut text)?;
        Ok(text)
    }

    #[test]
    fn what_breaks_off_goes_on_from_there_or_starts_over() {
        let rest: fn(&mut TcpStream, &str) = |stream, headers| {
            assert!(headers.contains("range: bytes=4-"), "{headers}");
            let _ = stream.write_all(
                b"HTTP/1.1 206 Partial Content\r\nContent-Length: 4\r\nETag: \"a\"\r\n\
                  Content-Range: bytes 4-7/8\r\n\r\nefgh",
            );
        };
        assert_eq!(downloaded(vec![half, rest]).unwrap(), "abcdefgh");
        let whole: fn(&mut TcpStream, &str) = |stream, _| {
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\nETag: \"a\"\r\n\r\nabcdefgh");
        };
        assert_eq!(downloaded(vec![half, whole]).unwrap(), "abcdefgh");
        let other: fn(&mut TcpStream, &str) = |stream, _| {
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\nETag: \"b\"\r\n\r\nxxxxxxxx");
        };
        let error = format!("{:#}", downloaded(vec![half, other]).unwrap_err());
        assert!(error.contains("the file changed while it was downloaded"), "{error}");
    }

    #[test]
    fn an_address_has_the_proxy_of_its_scheme_unless_it_is_excepted() {
        let of = |url: &str, variables: &[(&str, &str)]| {
            let value = |name: &str| variables.iter().find(|(known, _)| *known == name);
            let proxy = proxy_of(url, |name| value(name).map(|(_, value)| (*value).to_owned()))?;
            let is_direct = proxy.is_no_proxy(&url.parse().unwrap());
            let login = format!("{:?}", (proxy.username(), proxy.password()));
            (!is_direct).then(|| format!("{}:{} {login}", proxy.host(), proxy.port()))
        };
        let secret = "me:p%40ss@proxy:3128";
        let with = Some("proxy:3128 (Some(\"me\"), Some(\"p@ss\"))".to_owned());
        let plain = Some("proxy:80 (None, None)".to_owned());
        for (url, variables, expected) in [
            ("https://h/x", &[("HTTPS_PROXY", secret)][..], with.clone()),
            ("http://h/x", &[("HTTPS_PROXY", secret)], None),
            ("https://h/x", &[("http_proxy", secret)], None),
            ("http://h/x", &[("http_proxy", secret), ("HTTP_PROXY", "other")], with.clone()),
            ("http://h/x", &[("http_proxy", ""), ("ALL_PROXY", "http://proxy")], plain.clone()),
            ("http://h/x", &[("http_proxy", secret), ("NO_PROXY", "a, h")], None),
            ("http://h/x", &[("http_proxy", "proxy"), ("no_proxy", "a, h")], None),
            ("http://a.h/x", &[("http_proxy", secret), ("no_proxy", "h")], None),
            ("http://a.h/x", &[("http_proxy", secret), ("no_proxy", ".h")], None),
            ("http://127.0.0.1:9/x", &[("http_proxy", secret), ("NO_PROXY", "*")], None),
            ("http://ah/x", &[("http_proxy", secret), ("no_proxy", "h,")], with.clone()),
            ("http://h/x", &[], None),
        ] {
            assert_eq!(of(url, variables), expected, "{url} {variables:?}");
        }
    }

    #[test]
    fn there_is_nothing_after_the_end_however_often_it_is_read() {
        let whole: fn(&mut TcpStream, &str) = |stream, _| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        };
        // Nobody would answer a second time.
        let mut body = get(&serve(vec![whole])).unwrap();
        let mut text = String::new();
        for count in [2, 0, 0] {
            assert_eq!(body.read_to_string(&mut text).unwrap(), count);
        }
        assert_eq!(text, "ok");
    }

    #[test]
    fn a_server_in_trouble_is_asked_again_and_a_refusal_is_final() {
        let trouble: fn(&mut TcpStream, &str) = |stream, _| {
            let _ = stream.write_all(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
        };
        let whole: fn(&mut TcpStream, &str) = |stream, _| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        };
        assert_eq!(downloaded(vec![trouble, whole]).unwrap(), "ok");
        let refusal: fn(&mut TcpStream, &str) = |stream, _| {
            let _ = stream.write_all(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n");
        };
        // Nobody would answer a second time.
        let error = format!("{:#}", downloaded(vec![refusal]).unwrap_err());
        assert!(error.ends_with("/file`: the server answered 403"), "{error}");
    }

    #[test]
    fn a_range_that_is_not_there_is_the_end_or_a_new_start() {
        let all: fn(&mut TcpStream, &str) = |stream, headers| {
            assert!(!headers.contains("range: "), "{headers}");
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n");
        };
        let is_all: fn(&mut TcpStream, &str) = |stream, headers| {
            assert!(headers.contains("range: bytes=4-"), "{headers}");
            let _ = stream.write_all(
                b"HTTP/1.1 416 No\r\nContent-Length: 0\r\nContent-Range: bytes */4\r\n\r\n",
            );
        };
        assert_eq!(downloaded(vec![all, is_all]).unwrap(), "abcd");
        let whole: fn(&mut TcpStream, &str) = |stream, headers| {
            assert!(!headers.contains("range: "), "{headers}");
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabcdef");
        };
        let says_nothing: fn(&mut TcpStream, &str) = |stream, _| {
            let _ = stream.write_all(b"HTTP/1.1 416 No\r\nContent-Length: 0\r\n\r\n");
        };
        let is_more: fn(&mut TcpStream, &str) = |stream, _| {
            let _ = stream.write_all(
                b"HTTP/1.1 416 No\r\nContent-Length: 0\r\nContent-Range: bytes */6\r\n\r\n",
            );
        };
        let elsewhere: fn(&mut TcpStream, &str) = |stream, _| {
            let _ = stream.write_all(
                b"HTTP/1.1 206 Partial\r\nContent-Length: 6\r\n\
                  Content-Range: bytes 0-5/6\r\n\r\nabcdef",
            );
        };
        let nowhere: fn(&mut TcpStream, &str) = |stream, _| {
            let _ = stream.write_all(b"HTTP/1.1 206 Partial\r\nContent-Length: 2\r\n\r\nef");
        };
        for odd in [says_nothing, is_more, elsewhere, nowhere] {
            assert_eq!(downloaded(vec![all, odd, whole]).unwrap(), "abcdef");
        }
    }

    #[test]
    fn a_new_start_that_has_less_than_came_before_is_no_end() {
        let less: fn(&mut TcpStream, &str) = |stream, _| {
            let _ =
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nETag: \"a\"\r\n\r\nab");
        };
        let error = format!("{:#}", downloaded(vec![half, less, less, less]).unwrap_err());
        assert!(error.ends_with("expected as many bytes as came before"), "{error}");
    }

    #[test]
    fn what_ends_where_nobody_said_can_be_read_anew() {
        let cut: fn(&mut TcpStream, &str) = |stream, _| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nab");
        };
        let whole: fn(&mut TcpStream, &str) = |stream, _| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd");
        };
        let mut body = get_within(&serve(vec![cut, cut, whole]), QUICK).unwrap();
        let mut text = String::new();
        for _ in 0..2 {
            assert_eq!(body.read_to_string(&mut text).unwrap(), 2);
            assert!(body.may_be_cut_short());
            body.start_over(anyhow::anyhow!("the archive is cut short")).unwrap();
        }
        assert_eq!(body.read_to_string(&mut text).unwrap(), 4);
        assert!(!body.may_be_cut_short());
        let error = body.start_over(anyhow::anyhow!("the archive is cut short")).unwrap_err();
        assert!(format!("{error:#}").ends_with("/file`: the archive is cut short"), "{error:#}");
    }

    /// Limits that a test can wait for.
    const QUICK: Limits =
        Limits { silence: Duration::from_secs(1), slowest: 100, pauses: SHORT.split_at(2).0 };

    #[test]
    fn a_trickle_is_broken_off_and_goes_on_from_there() {
        let trickle: fn(&mut TcpStream, &str) = |stream, _| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
            while stream.write_all(b"x").is_ok() {
                thread::sleep(Duration::from_millis(50));
            }
        };
        let mut text = String::new();
        let start = Instant::now();
        let url = serve(vec![trickle, trickle, trickle]);
        let error = get_within(&url, QUICK).unwrap().read_to_string(&mut text).unwrap_err();
        let error = format!("{:#}", anyhow::Error::new(error));
        assert!(error.contains(" bytes in 1 s, expected 100 at least"), "{error}");
        assert!(start.elapsed() < Duration::from_secs(20));
        // One that is as fast as that is left alone.
        let slow: fn(&mut TcpStream, &str) = |stream, _| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
            for _ in 0..50 {
                let _ = stream.write_all(&[b'x'; 20]);
                thread::sleep(Duration::from_millis(50));
            }
        };
        let mut text = String::new();
        let mut body = get_within(&serve(vec![slow]), QUICK).unwrap();
        assert_eq!(body.read_to_string(&mut text).unwrap(), 1000);
    }

    #[test]
    fn an_address_that_leads_nowhere_is_not_asked_again() {
        let start = Instant::now();
        let elsewhere: fn(&mut TcpStream, &str) = |stream, _| {
            let _ = stream.write_all(
                b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: ftp://127.0.0.1/x\r\n\r\n",
            );
        };
        let odd: fn(&mut TcpStream, &str) = |stream, _| {
            let _ = stream.write_all(
                b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: http://a b/\r\n\r\n",
            );
        };
        for answer in [elsewhere, odd] {
            assert!(get(&serve(vec![answer])).is_err());
        }
        for url in
            ["ftp://127.0.0.1/x", "127.0.0.1/x", "http://", "http://a b/", "x", "", "http://[/"]
        {
            assert!(get(url).is_err(), "{url}");
        }
        assert!(start.elapsed() < PAUSES[0], "{:?}", start.elapsed());
    }
}

//! Plain downloads, streamed.
//!
//! A server is read in a thread of its own, so that the first signal ends a download wherever it
//! hangs. What breaks off or goes silent is asked for again from where it stopped, after a pause; a
//! refusal (4xx) is final.

use std::io::Read;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use ureq::http::StatusCode;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Proxy};

use super::credentials;
use crate::failure::Failure;
use crate::interrupt;
use crate::ui;

/// The pauses before what failed is tried again.
const PAUSES: [Duration; 3] =
    [Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(9)];
/// How long a server may say nothing in the middle of a file.
const SILENCE: Duration = Duration::from_secs(60);
const TICK: Duration = Duration::from_millis(50);
const CHUNK: usize = 64 << 10;
/// How many chunks are read ahead.
const AHEAD: usize = 16;

/// Opens a URL and returns its body, to be read as it arrives.
///
/// # Errors
/// When the server cannot be reached or answers anything but 200; names the URL.
pub fn get(url: &str) -> Result<impl Read + use<>> {
    let mut download = Download {
        url: url.to_owned(),
        events: Attempt::start(url, 0),
        chunk: Vec::new(),
        read: 0,
        received: 0,
        is_ended: false,
        version: None,
        pauses: PAUSES.iter(),
    };
    loop {
        match download.next() {
            Ok(Event::Opened(version)) => {
                download.version = version;
                return Ok(download);
            }
            Ok(_) => {}
            Err(error) => download.try_again(error)?,
        }
    }
}

/// A body that comes, perhaps in several attempts.
struct Download {
    url: String,
    events: Receiver<Result<Event, Failed>>,
    chunk: Vec<u8>,
    /// How much of the chunk was handed on.
    read: usize,
    received: u64,
    /// Whether all of it came. A reader may ask again after the end.
    is_ended: bool,
    /// Which version of the file it is (`ETag`), where the server says.
    version: Option<String>,
    pauses: std::slice::Iter<'static, Duration>,
}

enum Event {
    /// The server sends the file, of this version.
    Opened(Option<String>),
    Bytes(Vec<u8>),
    End,
}

/// Why an attempt failed, and whether another one is worth it.
struct Failed {
    error: Failure,
    is_final: bool,
}

impl Download {
    fn next(&self) -> Result<Event, Failed> {
        let start = Instant::now();
        loop {
            if let Err(error) = interrupt::check() {
                return Err(Failed { error: failed(&self.url).caused_by(error), is_final: true });
            }
            match self.events.recv_timeout(TICK) {
                Ok(event) => return event,
                Err(RecvTimeoutError::Timeout) if start.elapsed() < SILENCE => {}
                Err(RecvTimeoutError::Timeout) => {
                    let silence = anyhow::anyhow!("nothing came for {} s", SILENCE.as_secs());
                    let error = failed(&self.url).caused_by(silence).hint("is the network there?");
                    return Err(Failed { error, is_final: false });
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let error = failed(&self.url).caused_by(anyhow::anyhow!("it broke off"));
                    return Err(Failed { error, is_final: false });
                }
            }
        }
    }

    /// Starts another attempt, after a pause, unless there were enough.
    fn try_again(&mut self, Failed { error, is_final }: Failed) -> Result<()> {
        let Some(pause) = self.pauses.next().filter(|_| !is_final) else {
            return Err(error.into());
        };
        let error = anyhow::Error::new(error);
        ui::warning(format!("{error:#}; once more in {} s", pause.as_secs()));
        let until = Instant::now() + *pause;
        while Instant::now() < until {
            interrupt::check()?;
            thread::sleep(TICK);
        }
        self.events = Attempt::start(&self.url, self.received);
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
                Ok(Event::End) => self.is_ended = true,
                Ok(Event::Opened(version)) if version == self.version => {}
                Ok(Event::Opened(_)) => {
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
    from: u64,
    events: SyncSender<Result<Event, Failed>>,
}

impl Attempt {
    fn start(url: &str, from: u64) -> Receiver<Result<Event, Failed>> {
        let (events, receiver) = mpsc::sync_channel(AHEAD);
        let attempt = Self { url: url.to_owned(), from, events };
        thread::spawn(move || {
            if let Err(error) = attempt.run() {
                let _ = attempt.events.send(Err(error));
            }
        });
        receiver
    }

    fn run(&self) -> Result<(), Failed> {
        let broken = |error: anyhow::Error| Failed {
            error: failed(&self.url).caused_by(error).hint("is the network there?"),
            is_final: false,
        };
        let mut request = agent(&self.url).get(&self.url);
        if self.from > 0 {
            request = request.header("Range", format!("bytes={}-", self.from));
        }
        let response = request.call().map_err(|error| match error {
            ureq::Error::StatusCode(status) => self.refused(status),
            error => broken(error.into()),
        })?;
        let version = response.headers().get("ETag").and_then(|tag| tag.to_str().ok());
        self.send(Event::Opened(version.map(str::to_owned)));
        // A server that knows no ranges sends all of it again.
        let is_whole = response.status() != StatusCode::PARTIAL_CONTENT;
        let mut skip = if is_whole { self.from } else { 0 };
        let mut body = response.into_body().into_reader();
        loop {
            let mut chunk = vec![0; CHUNK];
            let count = body.read(&mut chunk).map_err(|error| broken(error.into()))?;
            chunk.truncate(count);
            let skipped = skip.min(count as u64);
            skip -= skipped;
            chunk.drain(..usize::try_from(skipped).unwrap_or(count));
            let is_gone = match (count, chunk.is_empty()) {
                (0, _) => return self.send(Event::End).map_or(Ok(()), Ok),
                (_, true) => false,
                _ => self.send(Event::Bytes(chunk)).is_none(),
            };
            if is_gone {
                return Ok(());
            }
        }
    }

    /// `None`: nobody waits any more.
    fn send(&self, event: Event) -> Option<()> {
        self.events.send(Ok(event)).ok()
    }

    fn refused(&self, status: u16) -> Failed {
        let words = match status {
            404 => "the server answered 404: there is no such file".to_owned(),
            status => format!("the server answered {status}"),
        };
        let error = failed(&self.url).caused_by(anyhow::anyhow!(words));
        Failed { error, is_final: (400..500).contains(&status) }
    }
}

fn failed(url: &str) -> Failure {
    Failure::failed(format!("failed to download `{url}`"))
}

fn agent(url: &str) -> Agent {
    let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
    Agent::config_builder()
        .tls_config(tls)
        .proxy(proxy(url))
        .timeout_connect(Some(Duration::from_secs(30)))
        .timeout_recv_response(Some(SILENCE))
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

    fn downloaded(answers: Vec<fn(&mut TcpStream, &str)>) -> Result<String> {
        let mut text = String::new();
        get(&serve(answers))?.read_to_string(&mut text)?;
        Ok(text)
    }

    #[test]
    fn what_breaks_off_goes_on_from_there_or_starts_over() {
        let rest: fn(&mut TcpStream, &str) = |stream, headers| {
            assert!(headers.contains("range: bytes=4-"), "{headers}");
            let _ = stream.write_all(
                b"HTTP/1.1 206 Partial Content\r\nContent-Length: 4\r\nETag: \"a\"\r\n\r\nefgh",
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
}

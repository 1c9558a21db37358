//! Plain downloads, streamed.

use std::ffi::OsStr;
use std::io::Read;
use std::time::Duration;

use anyhow::Result;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Proxy};

use super::credentials;
use crate::failure::Failure;
use crate::interrupt;

/// Opens a URL and returns its body, to be read as it arrives.
///
/// # Errors
/// When the server cannot be reached or answers anything but 200; names the URL.
pub fn get(url: &str) -> Result<impl Read + use<>> {
    let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
    let agent: Agent = Agent::config_builder()
        .tls_config(tls)
        .proxy(proxy())
        .timeout_connect(Some(Duration::from_secs(30)))
        .timeout_recv_response(Some(Duration::from_secs(120)))
        .user_agent(concat!("dagster-flox-xtask/", env!("CARGO_PKG_VERSION")))
        .build()
        .into();
    let failed = || Failure::failed(format!("failed to download `{url}`"));
    let response = agent.get(url).call().map_err(|error| match error {
        ureq::Error::StatusCode(404) => {
            failed().caused_by(anyhow::anyhow!("the server answered 404: there is no such file"))
        }
        ureq::Error::StatusCode(status) => {
            failed().caused_by(anyhow::anyhow!("the server answered {status}"))
        }
        error => failed().caused_by(error).hint("is the network there?"),
    })?;
    Ok(Interruptible(response.into_body().into_reader()))
}

/// The proxy that the environment names, or named before its password was taken out.
fn proxy() -> Option<Proxy> {
    let names =
        ["ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"];
    let taken_out = names.into_iter().find_map(credentials::get).and_then(OsStr::to_str);
    taken_out.and_then(|proxy| Proxy::new(proxy).ok()).or_else(Proxy::try_from_env)
}

/// A stream that ends with an error once the process was asked to stop.
struct Interruptible<R>(R);

impl<R: Read> Read for Interruptible<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        interrupt::check().map_err(std::io::Error::other)?;
        self.0.read(buffer)
    }
}

//! Plain downloads, streamed.

use std::io::Read;
use std::time::Duration;

use anyhow::Result;
use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig};

use crate::failure::Failure;

/// Opens a URL and returns its body, to be read as it arrives.
///
/// # Errors
/// When the server cannot be reached or answers anything but 200; names the URL.
pub fn get(url: &str) -> Result<impl Read + use<>> {
    let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
    let agent: Agent = Agent::config_builder()
        .tls_config(tls)
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
    Ok(response.into_body().into_reader())
}

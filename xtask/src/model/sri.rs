//! SRI hashes, `sha256-` + base64, as Nix prints and reads them.
//!
//! Only SHA-256 is known: it is what `fetchFromGitHub` and `fetchPypi` use and what PyPI records.
//! The format is the W3C's Subresource Integrity, one hash, padded standard base64.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// A SHA-256 digest (32 bytes), shown as `sha256-<base64>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Sri([u8; 32]);

impl Sri {
    /// Wraps a raw SHA-256 digest.
    pub fn from_digest(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// What Nix takes an empty hash for, and `lib.fakeHash` is: of nothing, yet to be filled in.
    pub const FAKE: Self = Self([0; 32]);

    /// Reads the 64 hexadecimal digits that package indexes use; upper or lower case.
    pub fn from_hex(hex: &str) -> Result<Self, ParseSriError> {
        let error = || ParseSriError(hex.to_owned());
        if hex.len() != 64 || !hex.is_ascii() {
            return Err(error());
        }
        let mut digest = [0; 32];
        for (i, byte) in digest.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).map_err(|_| error())?;
        }
        Ok(Self(digest))
    }
}

/// The text is not a SHA-256 hash; holds the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseSriError(String);

impl fmt::Display for ParseSriError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected `sha256-` and 44 characters of base64, found `{}`", self.0)
    }
}

impl std::error::Error for ParseSriError {}

impl FromStr for Sri {
    type Err = ParseSriError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.strip_prefix("sha256-")
            .and_then(|base64| STANDARD.decode(base64).ok())
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or_else(|| ParseSriError(text.to_owned()))
    }
}

impl fmt::Display for Sri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256-{}", STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Sri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Sri> for String {
    fn from(sri: Sri) -> Self {
        sri.to_string()
    }
}

impl TryFrom<String> for Sri {
    type Error = ParseSriError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The SHA-256 of nothing, in the three spellings one meets.
    #[test]
    fn hex_and_base64_agree() {
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let sri = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        assert_eq!(Sri::from_hex(hex).map(|sri| sri.to_string()).as_deref(), Ok(sri));
        assert_eq!(sri.parse(), Sri::from_hex(&hex.to_uppercase()));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in
            ["", "sha256-", "sha256-AAAA", "sha512-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="]
        {
            assert!(text.parse::<Sri>().is_err(), "`{text}`");
        }
        assert!(Sri::from_hex("zz").is_err());
        assert!(Sri::from_hex(&"é".repeat(32)).is_err());
    }
}

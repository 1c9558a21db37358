//! SHA-256 hashes as Nix reads them: SRI, or hexadecimal, base-64 or Nix's base-32 with or without
//! `sha256:` in front, or nothing yet. Where one is written is for `survey`.

use crate::model::sri::Sri;

/// Reads a SHA-256 hash in any of the spellings that Nix takes.
pub(super) fn parse_hash(text: &str) -> Option<Sri> {
    if text.is_empty() {
        return Some(Sri::FAKE);
    }
    if let Ok(sri) = text.parse() {
        return Some(sri);
    }
    let bare = text.strip_prefix("sha256:").unwrap_or(text);
    let base64 = || format!("sha256-{bare}").parse().ok();
    Sri::from_hex(bare).ok().or_else(|| from_nix_base32(bare)).or_else(base64)
}

/// Names in nixpkgs' `lib` for a hash that is yet to be filled in.
pub(super) const FAKES: [&str; 2] = ["fakeHash", "fakeSha256"];

/// Nix's base-32: 52 digits without e, o, u and t, the last of which holds the lowest bits.
fn from_nix_base32(text: &str) -> Option<Sri> {
    const DIGITS: &[u8] = b"0123456789abcdfghijklmnpqrsvwxyz";
    if text.len() != 52 {
        return None;
    }
    let mut digest = [0_u8; 32];
    for (i, byte) in text.bytes().rev().enumerate() {
        let digit = DIGITS.iter().position(|&digit| digit == byte)?;
        let (at, shift) = (i * 5 / 8, i * 5 % 8);
        let bits = u16::try_from(digit).ok()? << shift;
        let [low, high] = bits.to_le_bytes();
        digest[at] |= low;
        match digest.get_mut(at + 1) {
            Some(next) => *next |= high,
            None if high == 0 => {}
            None => return None,
        }
    }
    Some(Sri::from_digest(digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One digest in the spellings that `nix-hash --to-base32` and `--to-sri` give it.
    #[test]
    fn hashes_are_read_in_every_spelling() {
        let sri = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        for text in [
            sri,
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73",
            "sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73",
            "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
            "sha256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        ] {
            assert_eq!(
                parse_hash(text).map(|hash| hash.to_string()).as_deref(),
                Some(sri),
                "{text}"
            );
        }
        assert_eq!(parse_hash(""), Some(Sri::FAKE));
        for text in
            ["sha256-", "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c7", &"z".repeat(52)]
        {
            assert!(parse_hash(text).is_none(), "{text}");
        }
    }
}

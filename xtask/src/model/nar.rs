//! NAR, the Nix archive format, and its hash.

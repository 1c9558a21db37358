//! Edits of Nix expressions through a lossless syntax tree.

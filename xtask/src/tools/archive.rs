//! Source archives (`.tar.gz`), read from the stream.

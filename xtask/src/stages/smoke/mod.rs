//! Smoke tests of what was built.

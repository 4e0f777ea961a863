//! Assembles a release: deterministic tarball, TUF metadata, index page.

pub mod tarball;

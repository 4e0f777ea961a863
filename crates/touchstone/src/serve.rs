//! A loopback server that speaks to stock Nix: channel requests, and tarballs that flakes can lock.
//!
//! * [`library`]: what may be answered. Every tarball is made from an installed generation while its tree is hashed, and
//!   every answer asks again whether its signatures count.
//! * [`http`]: how it is answered, and to whom: on a loopback address only, and to nobody who calls it by another name (a
//!   web page that has its own name point here is told so).

pub(crate) mod http;
pub(crate) mod library;

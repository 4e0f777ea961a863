//! The Signer seam: who makes an OpenPGP signature, and over what.

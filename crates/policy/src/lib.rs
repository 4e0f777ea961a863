//! Decides whether enough authorised people vouch for exactly this; the only maker of proof.

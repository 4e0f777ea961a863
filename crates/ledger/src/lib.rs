//! The ledger branch: statements, proposals and signatures in git.

//! Nix source text to facts; facts against facts to deltas; rules to findings.
//!
//! Everything here is a pure function of its arguments: no files, no network, no clock, no evaluator. What a rule has
//! to know from elsewhere is an argument ([`Context`]). What cannot be told from the text is *unknown*, never a guess.
//!
//! Begin reading at [`compare`]; a rule is one file in `rules/`.

mod bindings;
mod bump;
mod compare;
mod facts;
mod file;
mod finding;
pub mod hash;
mod marks;
mod names;
pub mod origin;
pub mod paths;
mod query;
mod resolve;
mod rule;
mod rules;
mod second_reader;
mod summary;
mod syntax;
pub mod text;
pub mod version;
mod words;

pub use bindings::{Binding, BindingKind, bindings, outer_bindings};
pub use bump::decided_by;
pub use compare::{
    Analysed, Context, IsReleased, OwnerOfHash, PackageDelta, Read, UnitDelta, UnitFile, analyse, audit, compare,
    compare_bindings, compare_read, parse_file, read,
};
pub use facts::{Fact, FileFacts, Package, Source, facts};
pub use file::{File, LONGEST, Unparsed, parse};
pub use finding::{Finding, Place};
pub use rule::Rule;
pub use rules::{RULES, rule};

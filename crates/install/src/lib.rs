//! Generations, floors, atomic writes; no network.

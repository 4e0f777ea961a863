//! Signed trees in the store, where locked flake inputs look for them.

use gate::channel::Approvable;
use install::{Generation, GenerationNumber};

use crate::{commands::pin, output::Output};

/// Puts the tree of the installed release into the store, if it approves anything and is not there yet. A convenience: that it
/// fails changes nothing of what is approved.
pub(super) fn place(current: Option<&Generation>, approvable: &[(GenerationNumber, Approvable)], output: Output) {
    let Some(generation) = current else { return };
    let Some((_, approvable)) = approvable.iter().find(|(number, _)| *number == generation.number()) else {
        return;
    };
    // The link is there as long as the generation is; whether its end is, the store knows.
    if generation.store_link().exists() {
        return;
    }
    if let Err(failure) = pin::place(generation, approvable.release()) {
        output.note(&format!(
            "note: the signed tree could not be put into the store, so flakes that lock it need a network: {}",
            failure.in_one_line()
        ));
    }
}

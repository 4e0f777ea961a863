//! What the signer of a card asks, and what it signs after each answer: a program of its own, since clients find a reader
//! service by their environment. `tests/tokens/announced.rs` runs it: `announced PIN`.

#![expect(clippy::unwrap_used, reason = "a program of a test that cannot go on has failed")]

use std::{
    env,
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

use attestation::{GitOid, Time, git::NoteBody};
use serde_json::json;
use signer::{
    CardIdent, CardSigner, Document, Signer as _,
    pin::{PinError, PinRequest, Prompt, SecretString},
    shown,
};

/// Answers the first question, and no other.
struct Once {
    pin: String,
    questions: Mutex<Vec<Vec<String>>>,
}

impl Prompt for Once {
    fn pin(&self, request: &PinRequest<'_>) -> Result<SecretString, PinError> {
        let mut questions = self.questions.lock().unwrap();
        questions.push(request.why.to_vec());
        if questions.len() == 1 {
            Ok(self.pin.clone().into())
        } else {
            Err(PinError::Cancelled)
        }
    }

    fn touch(&self, _: &CardIdent, _: u64) {}
}

fn main() {
    let prompt = Arc::new(Once {
        pin: env::args().nth(1).unwrap(),
        questions: Mutex::default(),
    });
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let at = Time::from_unix(i64::try_from(now).unwrap());
    let signer = CardSigner::open(None, None, at, Arc::clone(&prompt) as _).unwrap();
    let oid = |digit: &str| digit.repeat(40).parse::<GitOid>().unwrap();
    let bodies = ["1", "2", "3"].map(|digit| NoteBody {
        commit: oid(digit),
        tree: oid("4"),
    });
    let documents = [0, 1, 2].map(|at| Document::Note(&bodies[at]));
    signer.announce(&documents[..2]).unwrap();
    let sign = |at: usize| match signer.sign_packet(&documents[at]) {
        Ok(packet) => json!(packet.len()),
        Err(error) => json!(error.to_string()),
    };
    // The two that were announced; one that was not; and one of the two again.
    let signed: Vec<_> = [0, 1, 2, 0].into_iter().map(sign).collect();
    let questions = prompt.questions.lock().unwrap().clone();
    println!(
        "{}",
        json!({"signed": signed, "questions": questions, "shown": shown(&documents)})
    );
}

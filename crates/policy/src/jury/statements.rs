//! Many statements at once.

use attestation::{
    dsse::{self, Envelope},
    openpgp::{PgpSignature, packets},
    statement::Statement,
};

use super::{Job, Jury, work::Work};
use crate::{
    facts::{Fact, Facts},
    seal::Verified,
    signature::SignatureRefusal,
    statements::StatementRefusal,
};

type Outcome = Result<Verified<Statement>, StatementRefusal>;

impl Jury<'_> {
    /// As [`crate::statements::Court::verify`], of every envelope, in their order.
    pub fn verify_all(&self, envelopes: &[Envelope], work: &mut Work<'_>) -> Vec<Outcome> {
        work.share(envelopes, |piece, facts, learnt| {
            self.verify_piece(piece, facts, learnt)
        })
    }

    fn verify_piece(&self, envelopes: &[Envelope], facts: &Facts, learnt: &mut Vec<Fact>) -> Vec<Outcome> {
        let mut jobs = Vec::with_capacity(envelopes.len());
        let read: Vec<_> = envelopes
            .iter()
            .enumerate()
            .map(|(place, envelope)| self.read(place, envelope, &mut jobs))
            .collect();
        let mut good = vec![false; read.len()];
        self.calculate(&mut jobs, facts, learnt, |job| good[job.place.0] = true);
        let court = self.court.as_ref().ok_or(());
        read.into_iter()
            .zip(good)
            .map(|(read, good)| {
                let (statement, signature) = read?;
                let court = court.map_err(|()| StatementRefusal::NoChain)?;
                if good {
                    Ok(court.seal(statement, &signature))
                } else {
                    let (author, source) = (statement.author, SignatureRefusal::Bad);
                    Err(StatementRefusal::Signature { author, source })
                }
            })
            .collect()
    }

    /// Reads a statement and judges whose it is; what remains to be calculated is added to `jobs`.
    fn read<'e>(
        &self,
        place: usize,
        envelope: &'e Envelope,
        jobs: &mut Vec<Job<'e>>,
    ) -> Result<(Statement, PgpSignature), StatementRefusal> {
        let court = self.court.as_ref().ok_or(StatementRefusal::NoChain)?;
        let (statement, signature) = court.read(envelope)?;
        let refused = |source| StatementRefusal::Signature {
            author: statement.author.clone(),
            source,
        };
        let packet = packets(&envelope.signature).next();
        let packet = packet.ok_or(SignatureRefusal::Bad).map_err(refused)?;
        let packet = packet.map_err(|error| refused(error.into()))?;
        let key = self.admissible(&packet).map_err(refused)?;
        let prefix = dsse::encoding_prefix(dsse::IN_TOTO, envelope.payload.len());
        jobs.push(Job::new(
            (place, 0),
            key,
            packet,
            &[prefix.as_bytes(), &envelope.payload],
        ));
        Ok((statement, signature))
    }
}

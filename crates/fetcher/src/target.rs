//! One file that a channel's targets list, beside what an update installs.

use attestation::{ChannelName, Sha256Digest, tuf::TargetFile};
use policy::Verified;

use crate::{
    resource::{Resource, TargetName},
    transport::Transport,
    update::{UpdateError, first_that_does},
};

/// The bytes of a signed file, from the first mirror that gives them; at most `most`.
pub fn fetch_target(
    mirrors: &[&dyn Transport],
    channel: &ChannelName,
    name: &TargetName,
    target: &Verified<TargetFile>,
    most: u64,
) -> Result<Vec<u8>, UpdateError> {
    let signed = target.get();
    let sha256 = signed.sha256().ok_or(UpdateError::NoDigest)?;
    if signed.length > most {
        return Err(UpdateError::TooLarge {
            bound: most,
            found: signed.length,
        });
    }
    let resource = Resource::Target(channel.clone(), name.clone(), sha256);
    let fetched = first_that_does(mirrors, |mirror| {
        let bytes = mirror.get(&resource, signed.length)?;
        let found = Sha256Digest::of(&bytes);
        if found == sha256 {
            return Ok(bytes);
        }
        Err(UpdateError::Digest {
            file: resource.to_string(),
            expected: sha256.to_string(),
            found,
        })
    });
    fetched.map(|(bytes, _, _)| bytes)
}

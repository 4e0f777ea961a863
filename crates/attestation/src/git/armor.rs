//! ASCII armor around signatures (RFC 4880 section 6.2), as git's gpg makes it.

use crate::base64;

/// Why a block is no armor that is taken. It spoils none beside it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArmorError {
    /// Not the shape of armor.
    #[error("malformed armor: {0}")]
    Malformed(&'static str),
    /// More blocks than anybody needs; those after are not read.
    #[error("more than {0} blocks of signatures")]
    TooMany(usize),
}

use ArmorError::Malformed;

/// No block may be longer: a hundred signatures are 20 kB.
const MAX_BLOCK: usize = 64 << 10;

/// The decoded blocks in `lines`, in order; between them stand empty lines at most.
pub(super) fn blocks<'a>(mut lines: impl Iterator<Item = &'a [u8]>, most: usize) -> Vec<Result<Vec<u8>, ArmorError>> {
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        if line.is_empty() {
            continue;
        }
        if found.len() == most {
            found.push(Err(ArmorError::TooMany(most)));
            break;
        }
        if line != super::PGP_SIGNATURE {
            found.push(Err(Malformed("text outside of a block")));
            // All of it is one piece of junk: the next block begins with its own line.
            let begins = lines.find(|line| *line == super::PGP_SIGNATURE);
            if begins.is_none() {
                break;
            }
        }
        found.push(block(&mut lines));
    }
    found
}

/// The rest of a block whose first line was read.
fn block<'a>(lines: &mut impl Iterator<Item = &'a [u8]>) -> Result<Vec<u8>, ArmorError> {
    let mut text = Vec::with_capacity(256);
    let (mut in_headers, mut checksum) = (true, false);
    let mut flaw = None;
    for line in lines {
        if line == b"-----END PGP SIGNATURE-----" {
            let decoded = base64::decode(&text).ok_or(Malformed("not padded base64"));
            return flaw.map_or(decoded, |flaw| Err(Malformed(flaw)));
        }
        if flaw.is_some() {
            continue;
        }
        if in_headers {
            // `Version:`, `Comment:`: signed by nobody, read by nobody.
            in_headers = !line.is_empty();
            if in_headers && !line.contains(&b':') {
                flaw = Some("no empty line after the first");
            }
        } else if line.len() == 5 && line[0] == b'=' && !checksum {
            // A CRC protects from noise on the line; the signature protects from everything.
            checksum = true;
        } else if checksum || line.is_empty() {
            flaw = Some("something after the checksum, or an empty line");
        } else {
            text.extend_from_slice(line);
            if text.len() > MAX_BLOCK {
                flaw = Some("too long");
            }
        }
    }
    Err(Malformed("a block that does not end"))
}

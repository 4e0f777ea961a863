//! One signature packet, borrowed from the bytes that hold it: every field is looked at, nothing is copied.

use sha2::{Digest, Sha256, Sha384, Sha512};

use super::{
    ECDSA, EDDSA,
    PgpFormError::{self, Field, Malformed, Subpacket},
    RSA, SignatureMaterial, VERSION_4,
};
use crate::time::Time;

const BINARY_DOCUMENT: u8 = 0x00;

const SUBPACKET_CREATED: u8 = 2;
const SUBPACKET_EXPIRES: u8 = 3;
const SUBPACKET_NOTATION: u8 = 20;
const SUBPACKET_ISSUER: u8 = 16;
const SUBPACKET_ISSUER_FINGERPRINT: u8 = 33;

/// The digest algorithms that a signature may be over. SHA-1 and MD5 bind nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DocumentHash {
    /// Algorithm 8: what signatures of ours have.
    Sha256,
    /// Algorithm 9.
    Sha384,
    /// Algorithm 10.
    Sha512,
}

impl DocumentHash {
    /// All of them: what people's own gpg makes.
    pub const ALL: [Self; 3] = [Self::Sha256, Self::Sha384, Self::Sha512];

    const fn id(self) -> u8 {
        match self {
            Self::Sha256 => 8,
            Self::Sha384 => 9,
            Self::Sha512 => 10,
        }
    }
}

/// A version 4 signature over a binary document as people's own gpg makes them, not verified: the one form of
/// [`super::PgpSignature`], with SHA-256, SHA-384 or SHA-512.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignaturePacket<'a> {
    hashed: &'a [u8],
    area: HashedArea,
    material: RawMaterial<'a>,
}

/// What the algorithm made, borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RawMaterial<'a> {
    /// Ed25519's R and S.
    Ed25519([u8; 64]),
    /// ECDSA's r and s over P-256.
    P256([u8; 64]),
    /// RSA PKCS#1 v1.5: the signature as a big-endian number without leading zeros.
    Rsa(&'a [u8]),
}

impl RawMaterial<'_> {
    pub(super) fn into_owned(self) -> SignatureMaterial {
        match self {
            Self::Ed25519(both) => SignatureMaterial::Ed25519(both),
            Self::P256(both) => SignatureMaterial::P256(both),
            Self::Rsa(number) => SignatureMaterial::Rsa(number.to_vec()),
        }
    }
}

impl<'a> SignaturePacket<'a> {
    /// Reads the body of a signature packet.
    pub(super) fn from_body(body: &'a [u8]) -> Result<Self, PgpFormError> {
        let length = match body {
            [VERSION_4, _, _, _, high, low, ..] => usize::from(u16::from_be_bytes([*high, *low])),
            [VERSION_4, ..] | [] => return Err(Malformed("cut off")),
            [version, ..] => return Err(wrong("version", *version, "4")),
        };
        let mut input = Reader(body);
        let hashed = input.take(6 + length)?;
        let area = HashedArea::read(hashed, &DocumentHash::ALL)?;
        // The unhashed area proves nothing and is not read, only passed over.
        let unhashed_length = input.u16()?;
        input.take(usize::from(unhashed_length))?;
        input.take(2)?; // The digest's first two bytes: a hint, checked by nobody who checks the rest.
        let material = match hashed[2] {
            EDDSA => RawMaterial::Ed25519(input.two_numbers()?),
            ECDSA => RawMaterial::P256(input.two_numbers()?),
            _ => RawMaterial::Rsa(input.mpi()?),
        };
        input.end("bytes after the signature")?;
        Ok(Self { hashed, area, material })
    }

    /// The packet's body from the version to the end of the hashed area.
    pub(super) const fn hashed(&self) -> &'a [u8] {
        self.hashed
    }

    /// The digest that the signature is over, for a document that consists of these pieces (RFC 4880 section
    /// 5.2.4): 32, 48 or 64 bytes, written into `out`.
    pub fn digest<'out>(&self, document: &[&[u8]], out: &'out mut [u8; 64]) -> &'out [u8] {
        match self.area.hash {
            DocumentHash::Sha256 => self.digest_with::<Sha256>(document, out),
            DocumentHash::Sha384 => self.digest_with::<Sha384>(document, out),
            DocumentHash::Sha512 => self.digest_with::<Sha512>(document, out),
        }
    }

    fn digest_with<'out, D: Digest>(&self, document: &[&[u8]], out: &'out mut [u8; 64]) -> &'out [u8] {
        let mut hasher = D::new();
        for piece in document {
            hasher.update(piece);
        }
        hasher.update(self.hashed);
        hasher.update([VERSION_4, 0xff]);
        hasher.update(u32::try_from(self.hashed.len()).unwrap_or(u32::MAX).to_be_bytes());
        let digest = hasher.finalize();
        let out = &mut out[..digest.len()];
        out.copy_from_slice(&digest);
        out
    }

    /// The fingerprint of the key that is said to have signed: 20 bytes.
    pub const fn issuer(&self) -> &[u8; 20] {
        &self.area.issuer
    }

    /// When it is said to have signed.
    pub const fn created(&self) -> Time {
        self.area.created
    }

    /// The digest algorithm.
    pub const fn hash(&self) -> DocumentHash {
        self.area.hash
    }

    /// What the algorithm made.
    pub const fn material(&self) -> &RawMaterial<'a> {
        &self.material
    }
}

/// Reads signature packets, one after the other. What is not a signature packet ends it with an error; a signature of
/// another form is an error between others.
pub fn packets(bytes: &[u8]) -> impl Iterator<Item = Result<SignaturePacket<'_>, PgpFormError>> {
    let mut input = Reader(bytes);
    std::iter::from_fn(move || {
        if input.0.is_empty() {
            return None;
        }
        let body = input.packet_body();
        if body.is_err() {
            input.0 = &[];
        }
        Some(body.and_then(SignaturePacket::from_body))
    })
}

/// What the hashed part of a signature says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HashedArea {
    pub(super) hash: DocumentHash,
    pub(super) created: Time,
    pub(super) issuer: [u8; 20],
}

impl HashedArea {
    /// Reads a signature from its version to the end of its hashed subpackets, of one of these digest algorithms.
    pub(super) fn read(hashed: &[u8], hashes: &[DocumentHash]) -> Result<Self, PgpFormError> {
        let mut input = Reader(hashed);
        let fixed = input.take(6)?;
        let field = |index: usize, field, good: &[u8], expected| {
            let found = fixed[index];
            if good.contains(&found) {
                Ok(())
            } else {
                Err(wrong(field, found, expected))
            }
        };
        field(0, "version", &[VERSION_4], "4")?;
        field(1, "type", &[BINARY_DOCUMENT], "0 (binary document)")?;
        field(
            2,
            "public-key algorithm",
            &[EDDSA, RSA, ECDSA],
            "22 (Ed25519), 1 (RSA) or 19 (ECDSA)",
        )?;
        let expected = match hashes {
            [DocumentHash::Sha256] => "8 (SHA-256)",
            _ => "8 (SHA-256), 9 (SHA-384) or 10 (SHA-512)",
        };
        let hash = hashes.iter().find(|hash| hash.id() == fixed[3]);
        let hash = *hash.ok_or_else(|| wrong("hash algorithm", fixed[3], expected))?;
        let length = usize::from(u16::from_be_bytes([fixed[4], fixed[5]]));
        let mut area = Reader(input.take(length)?);
        input.end("bytes after the hashed area")?;

        let (mut created, mut issuer) = (None, None);
        while !area.0.is_empty() {
            let again = match area.subpacket()?.read()? {
                Known::Created(time) => created.replace(time).is_some(),
                Known::Issuer(fingerprint) => issuer.replace(fingerprint).is_some(),
                Known::Harmless => false,
            };
            if again {
                return Err(Subpacket("has two creation times or two issuer fingerprints"));
            }
        }
        Ok(Self {
            hash,
            created: created.ok_or(Subpacket("has no creation time"))?,
            issuer: issuer.ok_or(Subpacket("has no issuer fingerprint"))?,
        })
    }
}

const fn wrong(field: &'static str, found: u8, expected: &'static str) -> PgpFormError {
    Field { field, found, expected }
}

/// What a subpacket means to us.
enum Known {
    Created(Time),
    Issuer([u8; 20]),
    Harmless,
}

struct RawSubpacket<'a> {
    critical: bool,
    kind: u8,
    body: &'a [u8],
}

impl RawSubpacket<'_> {
    fn read(&self) -> Result<Known, PgpFormError> {
        match (self.kind, self.body) {
            (SUBPACKET_CREATED, body) => {
                let seconds: [u8; 4] = body.try_into().map_err(|_| Malformed("creation time is not 4 bytes"))?;
                Ok(Known::Created(Time::from_unix(i64::from(u32::from_be_bytes(seconds)))))
            }
            (SUBPACKET_ISSUER_FINGERPRINT, [VERSION_4, fingerprint @ ..]) => match fingerprint.try_into() {
                Ok(fingerprint) => Ok(Known::Issuer(fingerprint)),
                Err(_) => Err(Subpacket("has an issuer fingerprint that is not version 4")),
            },
            (SUBPACKET_ISSUER_FINGERPRINT, _) => Err(Subpacket("has an issuer fingerprint that is not version 4")),
            (SUBPACKET_EXPIRES, _) => Err(Subpacket("expires; signatures of ours do not")),
            (SUBPACKET_NOTATION, _) if self.critical => Err(Subpacket("has a critical notation")),
            (SUBPACKET_ISSUER, _) => Ok(Known::Harmless),
            (kind, _) if self.critical => Err(PgpFormError::UnknownCritical(kind)),
            _ => Ok(Known::Harmless),
        }
    }
}

/// Takes bytes from the front and never reads past the end.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], PgpFormError> {
        let (head, tail) = self.0.split_at_checked(count).ok_or(Malformed("cut off"))?;
        self.0 = tail;
        Ok(head)
    }

    fn u8(&mut self) -> Result<u8, PgpFormError> {
        Ok(self.take(1)?[0])
    }

    fn u16(&mut self) -> Result<u16, PgpFormError> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn u32(&mut self) -> Result<usize, PgpFormError> {
        let bytes = self.take(4)?;
        Ok(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize)
    }

    pub(super) fn end(&self, what: &'static str) -> Result<(), PgpFormError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Malformed(what))
        }
    }

    /// A packet header of tag 2 in the old or the new format, with a definite length (RFC 4880 section 4.2).
    pub(super) fn packet_body(&mut self) -> Result<&'a [u8], PgpFormError> {
        let length = match self.u8()? {
            0x88 => usize::from(self.u8()?),
            0x89 => usize::from(self.u16()?),
            0x8a => self.u32()?,
            0xc2 => self.new_length()?,
            _ => return Err(Malformed("not a binary signature packet of definite length")),
        };
        self.take(length)
    }

    fn new_length(&mut self) -> Result<usize, PgpFormError> {
        match self.u8()? {
            first @ 0..=191 => Ok(usize::from(first)),
            first @ 192..=223 => Ok(((usize::from(first) - 192) << 8) + usize::from(self.u8()?) + 192),
            255 => self.u32(),
            224..=254 => Err(Malformed("partial length")),
        }
    }

    /// A subpacket (RFC 4880 section 5.2.3.1); its lengths go to 254 in two bytes.
    fn subpacket(&mut self) -> Result<RawSubpacket<'a>, PgpFormError> {
        let length = match self.u8()? {
            first @ 0..=191 => usize::from(first),
            first @ 192..=254 => ((usize::from(first) - 192) << 8) + usize::from(self.u8()?) + 192,
            255 => self.u32()?,
        };
        let [kind, body @ ..] = self.take(length)? else {
            return Err(Malformed("empty subpacket"));
        };
        Ok(RawSubpacket {
            critical: kind & 0x80 != 0,
            kind: kind & 0x7f,
            body,
        })
    }

    /// Two numbers of at most 256 bits, each at its full length.
    fn two_numbers(&mut self) -> Result<[u8; 64], PgpFormError> {
        let mut both = [0; 64];
        for half in both.chunks_exact_mut(32) {
            let number = self.mpi()?;
            let start = 32_usize
                .checked_sub(number.len())
                .ok_or(Malformed("number over 256 bits in a signature of two numbers"))?;
            half[start..].copy_from_slice(number);
        }
        Ok(both)
    }

    /// A multiprecision integer in its one shortest form (RFC 4880 section 3.2).
    fn mpi(&mut self) -> Result<&'a [u8], PgpFormError> {
        let bits = usize::from(self.u16()?);
        let number = self.take(bits.div_ceil(8))?;
        let exact = match number.first() {
            None => true,
            Some(first) => number.len() * 8 - first.leading_zeros() as usize == bits,
        };
        if exact {
            Ok(number)
        } else {
            Err(Malformed("number not in its shortest form"))
        }
    }
}

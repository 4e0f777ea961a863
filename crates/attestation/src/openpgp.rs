//! OpenPGP signatures of the one form that we make and take, between their two encodings.
//!
//! The form (design: "Signatures are v4, type 00, SHA-256, …"): a version 4 signature packet over a binary
//! document, SHA-256, Ed25519 ("EdDSA legacy", algorithm 22), RSA (algorithm 1) or ECDSA over P-256 (algorithm 19),
//! with exactly one creation time and exactly one issuer fingerprint in the hashed area, no expiration, and nothing
//! critical that we do not know. The encodings: one binary packet (DSSE, git-sig), and TUF's `other_headers` with
//! `sig` as `securesystemslib` writes it, which knows no ECDSA. Reading does not verify: that is crate `policy`'s.

use data_encoding::HEXLOWER;
use nixstore::Sha256Digest;
use sha2::{Digest as _, Sha256};

use crate::{
    names::{Fingerprint, KeyId},
    time::Time,
    tuf,
};

const VERSION_4: u8 = 4;
const BINARY_DOCUMENT: u8 = 0x00;
const SHA_256: u8 = 8;
const EDDSA: u8 = 22;
const RSA: u8 = 1;
const ECDSA: u8 = 19;

const SUBPACKET_CREATED: u8 = 2;
const SUBPACKET_EXPIRES: u8 = 3;
const SUBPACKET_NOTATION: u8 = 20;
const SUBPACKET_ISSUER: u8 = 16;
const SUBPACKET_ISSUER_FINGERPRINT: u8 = 33;

/// A signature of the one form, not verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PgpSignature {
    hashed: Vec<u8>,
    material: SignatureMaterial,
    created: Time,
    issuer: Fingerprint,
}

/// What the algorithm made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignatureMaterial {
    /// Ed25519's R and S.
    Ed25519([u8; 64]),
    /// ECDSA's r and s over P-256.
    P256([u8; 64]),
    /// RSA PKCS#1 v1.5: the signature as a big-endian number without leading zeros.
    Rsa(Vec<u8>),
}

/// Why bytes are not a signature of the one form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PgpFormError {
    /// Cut off, or with something after its end, or a number not in its shortest form.
    #[error("malformed OpenPGP signature: {0}")]
    Malformed(&'static str),
    /// A field has another value than the form demands.
    #[error("OpenPGP signature with {field} {found}, expected {expected}")]
    Field {
        /// Which field.
        field: &'static str,
        /// Its value.
        found: u8,
        /// The value or values that it may have.
        expected: &'static str,
    },
    /// The hashed area lacks or has what the form forbids or demands.
    #[error("OpenPGP signature {0}")]
    Subpacket(&'static str),
    /// A critical subpacket of unknown meaning.
    #[error("OpenPGP signature has a critical subpacket of type {0}, which we do not know")]
    UnknownCritical(u8),
    /// The key id is not the fingerprint that the signature itself names.
    #[error("key id {keyid} on a signature whose issuer is {issuer}")]
    OtherIssuer {
        /// The key id beside the signature.
        keyid: KeyId,
        /// The issuer in the signature.
        issuer: Fingerprint,
    },
}

use PgpFormError::{Field, Malformed, Subpacket};

impl PgpSignature {
    /// Reads one binary signature packet and nothing after it.
    pub fn from_packet(bytes: &[u8]) -> Result<Self, PgpFormError> {
        let mut input = Reader(bytes);
        let body = input.packet_body()?;
        input.end("bytes after the signature packet")?;

        let mut body = Reader(body);
        let fixed = body.take(6)?;
        let hashed_length = usize::from(u16::from_be_bytes([fixed[4], fixed[5]]));
        let mut hashed = fixed.to_vec();
        hashed.extend(body.take(hashed_length)?);
        // The unhashed area proves nothing and is not read, only passed over.
        let unhashed_length = body.u16()?;
        body.take(usize::from(unhashed_length))?;
        body.take(2)?; // The digest's first two bytes: a hint, checked by nobody who checks the rest.
        let material = match hashed[2] {
            EDDSA => SignatureMaterial::Ed25519(body.two_numbers()?),
            ECDSA => SignatureMaterial::P256(body.two_numbers()?),
            _ => SignatureMaterial::Rsa(body.mpi()?.to_vec()),
        };
        body.end("bytes after the signature")?;
        Self::new(hashed, material)
    }

    /// Reads TUF's encoding. `keyid` must be the issuer fingerprint.
    pub fn from_tuf(signature: &tuf::Signature) -> Result<Self, PgpFormError> {
        let decode = |text: &str, what| HEXLOWER.decode(text.as_bytes()).map_err(|_| Malformed(what));
        let headers = signature
            .other_headers
            .as_deref()
            .ok_or(Malformed("no other_headers"))?;
        let hashed = decode(headers, "other_headers is not lower-case hexadecimal")?;
        let raw = decode(&signature.sig, "sig is not lower-case hexadecimal")?;
        let material = match hashed.get(2) {
            Some(&EDDSA) => SignatureMaterial::Ed25519(raw.try_into().map_err(|_| Malformed("sig is not 64 bytes"))?),
            Some(&RSA) if raw.first().is_none_or(|first| *first == 0) => {
                return Err(Malformed("sig begins with a zero byte"));
            }
            // One key of a scheme that python-tuf does not know would make it refuse the whole repository.
            Some(&found) if found == ECDSA => {
                return Err(Field {
                    field: "public-key algorithm",
                    found,
                    expected: "22 (Ed25519) or 1 (RSA): P-256 signs statements only",
                });
            }
            // Also of an algorithm that is none of ours: `new` says so.
            _ => SignatureMaterial::Rsa(raw),
        };
        let read = Self::new(hashed, material)?;
        if KeyId::from(read.issuer.clone()) == signature.keyid {
            Ok(read)
        } else {
            Err(PgpFormError::OtherIssuer {
                keyid: signature.keyid.clone(),
                issuer: read.issuer,
            })
        }
    }

    fn new(hashed: Vec<u8>, material: SignatureMaterial) -> Result<Self, PgpFormError> {
        let mut input = Reader(&hashed);
        let fixed = input.take(6)?;
        let field = |index: usize, field, good: &[u8], expected| {
            let found = fixed[index];
            if good.contains(&found) {
                Ok(())
            } else {
                Err(Field { field, found, expected })
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
        field(3, "hash algorithm", &[SHA_256], "8 (SHA-256)")?;
        let length = usize::from(u16::from_be_bytes([fixed[4], fixed[5]]));
        let mut area = Reader(input.take(length)?);
        input.end("bytes after the hashed area")?;

        let (mut created, mut issuer) = (None, None);
        while !area.0.is_empty() {
            let subpacket = area.subpacket()?;
            let again = match subpacket.read()? {
                Known::Created(time) => created.replace(time).is_some(),
                Known::Issuer(fingerprint) => issuer.replace(fingerprint).is_some(),
                Known::Harmless => false,
            };
            if again {
                return Err(Subpacket("has two creation times or two issuer fingerprints"));
            }
        }
        Ok(Self {
            created: created.ok_or(Subpacket("has no creation time"))?,
            issuer: issuer.ok_or(Subpacket("has no issuer fingerprint"))?,
            hashed,
            material,
        })
    }

    /// The digest that the signature is over, for a document with these bytes (RFC 4880 section 5.2.4).
    pub fn digest_of(&self, document: &[u8]) -> Sha256Digest {
        let mut hasher = Sha256::new();
        hasher.update(document);
        hasher.update(&self.hashed);
        hasher.update([VERSION_4, 0xff]);
        hasher.update(u32::try_from(self.hashed.len()).unwrap_or(u32::MAX).to_be_bytes());
        hasher.into()
    }

    /// TUF's encoding. (Of a P-256 signature, which no TUF role has, one that nobody reads.)
    pub fn to_tuf(&self) -> tuf::Signature {
        let sig = match &self.material {
            SignatureMaterial::Ed25519(both) | SignatureMaterial::P256(both) => HEXLOWER.encode(both),
            SignatureMaterial::Rsa(number) => HEXLOWER.encode(number),
        };
        tuf::Signature {
            keyid: self.issuer.clone().into(),
            other_headers: Some(HEXLOWER.encode(&self.hashed)),
            sig,
        }
    }

    /// The key that is said to have signed.
    pub fn issuer(&self) -> &Fingerprint {
        &self.issuer
    }

    /// When it is said to have signed.
    pub fn created(&self) -> Time {
        self.created
    }

    /// What the algorithm made.
    pub fn material(&self) -> &SignatureMaterial {
        &self.material
    }
}

/// What a subpacket means to us.
enum Known {
    Created(Time),
    Issuer(Fingerprint),
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
            (SUBPACKET_ISSUER_FINGERPRINT, [VERSION_4, fingerprint @ ..]) if fingerprint.len() == 20 => {
                let text = HEXLOWER.encode(fingerprint);
                Ok(Known::Issuer(
                    text.parse().map_err(|_| Malformed("issuer fingerprint"))?,
                ))
            }
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
struct Reader<'a>(&'a [u8]);

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

    fn end(&self, what: &'static str) -> Result<(), PgpFormError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Malformed(what))
        }
    }

    /// A packet header of tag 2 in the old or the new format, with a definite length (RFC 4880 section 4.2).
    fn packet_body(&mut self) -> Result<&'a [u8], PgpFormError> {
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

//! The plain keys of other people's TUF repositories (the specification's section 4.2). On our chains none of this is
//! reached: there a signature is OpenPGP's, or the online key's.

use attestation::tuf;
use data_encoding::HEXLOWER;
use p256::{ecdsa, pkcs8::DecodePublicKey as _};
use rsa::{Pss, RsaPublicKey, traits::PublicKeyParts as _};
use sha2::{Digest as _, Sha256};

use super::{KeyMaterial, MIN_RSA_BITS, SignatureRefusal};

/// Whether `signature` is good over `document`. A key of a kind that we do not know is no reason to refuse the file
/// that names it: its signatures do not count.
pub(crate) fn verify(key: &tuf::Key, document: &[u8], signature: &tuf::Signature) -> Result<(), SignatureRefusal> {
    match (key.keytype.as_str(), key.scheme.as_str()) {
        // The specification renamed the key type; both spellings are in the field.
        ("ecdsa" | "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256") => verify_ecdsa(key, document, signature),
        ("rsa", "rsassa-pss-sha256") => verify_rsa_pss(key, document, signature),
        _ => KeyMaterial::from_tuf(key)?.verify_tuf(document, signature).map(|_| ()),
    }
}

/// The signature is in DER, of either sign of S, as the specification's other clients take it.
fn verify_ecdsa(key: &tuf::Key, document: &[u8], signature: &tuf::Signature) -> Result<(), SignatureRefusal> {
    use ecdsa::signature::Verifier as _;
    let public = ecdsa::VerifyingKey::from_public_key_pem(pem(key)?).map_err(|_| malformed())?;
    let signature = ecdsa::Signature::from_der(&raw(signature)?).map_err(|_| SignatureRefusal::Bad)?;
    public.verify(document, &signature).map_err(|_| SignatureRefusal::Bad)
}

/// With MGF1 over SHA-256 and a salt of 32 bytes, as `securesystemslib` signs.
fn verify_rsa_pss(key: &tuf::Key, document: &[u8], signature: &tuf::Signature) -> Result<(), SignatureRefusal> {
    let public = RsaPublicKey::from_public_key_pem(pem(key)?).map_err(|_| malformed())?;
    let bits = public.n().bits();
    if bits < MIN_RSA_BITS {
        return Err(SignatureRefusal::Key(format!(
            "RSA of {bits} bits, needed are {MIN_RSA_BITS}"
        )));
    }
    public
        .verify(Pss::new::<Sha256>(), &Sha256::digest(document), &raw(signature)?)
        .map_err(|_| SignatureRefusal::Bad)
}

fn pem(key: &tuf::Key) -> Result<&str, SignatureRefusal> {
    key.keyval["public"].as_str().ok_or_else(malformed)
}

fn raw(signature: &tuf::Signature) -> Result<Vec<u8>, SignatureRefusal> {
    HEXLOWER
        .decode(signature.sig.as_bytes())
        .map_err(|_| SignatureRefusal::Bad)
}

fn malformed() -> SignatureRefusal {
    SignatureRefusal::Key("malformed key value".to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize, Clone)]
    struct Signed {
        key: tuf::Key,
        signature: tuf::Signature,
    }

    type Edit = fn(&mut tuf::Key);

    const DOCUMENT: &[u8] = b"a document";

    /// Keys of every kind with a signature over `DOCUMENT`, as securesystemslib 1.4.0 (`CryptoSigner`) makes them.
    fn securesystemslib() -> BTreeMap<String, Signed> {
        serde_json::from_str(include_str!("../../tests/fixtures/securesystemslib-keys.json")).unwrap()
    }

    fn judge(signed: &Signed) -> Result<(), SignatureRefusal> {
        verify(&signed.key, DOCUMENT, &signed.signature)
    }

    #[test]
    fn every_kind_of_key_of_the_specification_counts_for_its_own_document_alone() {
        let all = securesystemslib();
        for kind in ["ecdsa", "ed25519", "rsa"] {
            let signed = &all[kind];
            assert_eq!(judge(signed), Ok(()), "{kind}");
            let other = verify(&signed.key, b"another document", &signed.signature);
            assert_eq!(other, Err(SignatureRefusal::Bad), "{kind} over another document");
            for sig in [
                "",
                "00",
                "zz",
                &signed.signature.sig[2..],
                &format!("{}00", signed.signature.sig),
            ] {
                let mut bad = signed.clone();
                sig.clone_into(&mut bad.signature.sig);
                assert_eq!(judge(&bad), Err(SignatureRefusal::Bad), "{kind} with signature {sig:?}");
            }
        }
    }

    #[test]
    fn both_names_of_the_key_type_of_ecdsa_are_known() {
        let mut signed = securesystemslib()["ecdsa"].clone();
        "ecdsa-sha2-nistp256".clone_into(&mut signed.key.keytype);
        assert_eq!(judge(&signed), Ok(()));
    }

    #[test]
    fn refuses_keys_that_are_weak_of_another_kind_or_unknown() {
        let all = securesystemslib();
        assert!(
            matches!(judge(&all["rsa-1024"]), Err(SignatureRefusal::Key(_))),
            "1,024 bits"
        );
        let edited = |edit: Edit| {
            let mut signed = all["ecdsa"].clone();
            edit(&mut signed.key);
            judge(&signed)
        };
        let flaws: [(&str, Edit); 4] = [
            ("another scheme", |key| key.scheme = "ecdsa-sha2-nistp521".to_owned()),
            ("another type", |key| key.keytype = "sphincs".to_owned()),
            ("no PEM", |key| key.keyval = serde_json::json!({"public": "04ab"})),
            ("no public key", |key| key.keyval = serde_json::json!({})),
        ];
        for (flaw, edit) in flaws {
            assert!(matches!(edited(edit), Err(SignatureRefusal::Key(_))), "{flaw}");
        }
        let mut mixed = all["ecdsa"].clone();
        mixed.key.keyval = all["rsa"].key.keyval.clone();
        assert!(
            matches!(judge(&mixed), Err(SignatureRefusal::Key(_))),
            "an RSA key for ECDSA"
        );
    }

    #[test]
    fn a_plain_key_of_another_repository_is_none_of_our_chains() {
        let all = securesystemslib();
        for kind in ["ecdsa", "rsa"] {
            let refused = KeyMaterial::from_tuf(&all[kind].key);
            assert!(matches!(refused, Err(SignatureRefusal::Key(_))), "{kind}");
        }
    }
}

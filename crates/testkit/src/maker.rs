//! A maker of tokens that attest their keys: certificates of openssl, in the form that Yubico documents. No real YubiKey was
//! there when they were written.

use std::{fs, path::Path, process::Command};

use attestation::Fingerprint;
use sequoia_openpgp::{Cert, crypto::mpi::PublicKey, parse::Parse as _};

use crate::peer;

/// What openssl is to say of a key, and what is wrong with it.
#[derive(Debug, Clone)]
pub struct Forgery {
    /// The fingerprint that the statement names.
    pub fingerprint: String,
    /// Extension 2, in DER: made on the token, or imported.
    pub source: &'static str,
    /// Extension 8, in DER: whether using it takes a touch.
    pub touch: &'static str,
    /// Constraints of the token's own certificate.
    pub device: &'static str,
    /// Whether another key is attested than the person's.
    pub other_key: bool,
    /// How long the statement is valid, in days from the maker's day.
    pub days: &'static str,
}

impl Forgery {
    /// Nothing is wrong with it.
    pub fn honest(key: &Fingerprint) -> Self {
        Self {
            fingerprint: key.to_string(),
            source: "020101",
            touch: "040102",
            device: "critical,CA:TRUE,pathlen:0",
            other_key: false,
            days: "3650",
        }
    }
}

/// Whether there is an openssl that makes certificates; [`peer::missing`] is told if not.
pub fn has_openssl() -> bool {
    // It has `openssl version`, and no `--version`.
    if Path::new("/usr/bin/openssl").exists() {
        return peer::has("faketime");
    }
    peer::missing("openssl is not installed");
    false
}

/// A maker of tokens, with its root and one token.
pub struct Maker {
    place: tempfile::TempDir,
}

impl Maker {
    /// A maker whose keys are `rsa` or `p256`.
    ///
    /// # Panics
    /// As every method here, if something that is not under test goes wrong.
    pub fn new(algorithm: &str) -> Self {
        let maker = Self {
            place: tempfile::tempdir().expect("a directory"),
        };
        maker.key(algorithm, "root");
        maker.openssl(&[
            "req",
            "-x509",
            "-key",
            "root.key",
            "-subj",
            "/CN=Maker Root",
            "-days",
            "3650",
            "-out",
            "root.pem",
        ]);
        maker.key(algorithm, "device");
        maker
    }

    fn key(&self, algorithm: &str, name: &str) {
        let out = format!("{name}.key");
        let (kind, option) = match algorithm {
            "rsa" => ("RSA", "rsa_keygen_bits:2048"),
            _ => ("EC", "ec_paramgen_curve:P-256"),
        };
        self.openssl(&["genpkey", "-algorithm", kind, "-pkeyopt", option, "-out", &out]);
    }

    fn openssl(&self, arguments: &[&str]) {
        // Certificates are dated by the clock; the tests' time is another one.
        let output = Command::new("faketime")
            .args(["2025-06-01 00:00:00", "openssl"])
            .args(arguments)
            .current_dir(self.place.path())
            .output()
            .expect("faketime starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.place.path().join(name), text).expect("a file");
    }

    /// A file that was made: `root.pem`, `device.pem`, `statement.pem`.
    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.place.path().join(name)).expect("a file")
    }

    /// The chain of a token's statement about a key, given as SubjectPublicKeyInfo ([`public_pem`]).
    pub fn attest(&self, key: &str, forgery: &Forgery) -> Vec<u8> {
        self.write("device.ext", format!("basicConstraints={}\n", forgery.device));
        self.sign("device", "/CN=Token 7654321", "root", "device.ext", None, "3650");
        let extensions = format!(
            "1.3.6.1.4.1.41482.5.2=DER:{}\n1.3.6.1.4.1.41482.5.3=DER:0403050403\n\
             1.3.6.1.4.1.41482.5.4=DER:0414{}\n1.3.6.1.4.1.41482.5.7=DER:020374cbb1\n\
             1.3.6.1.4.1.41482.5.8=DER:{}\n",
            forgery.source, forgery.fingerprint, forgery.touch
        );
        self.write("statement.ext", extensions);
        self.write("subject.pem", key);
        self.key("p256", "statement");
        let subject = Some("subject.pem");
        self.sign(
            "statement",
            "/CN=SIG key",
            "device",
            "statement.ext",
            subject,
            forgery.days,
        );
        let chain = ["statement.pem", "device.pem", "root.pem"];
        chain.map(|name| self.read(name)).concat()
    }

    /// What the token of the last [`Self::attest`] gives when it is asked: `statement.der` and `device.der`, in a directory.
    pub fn write_token(&self, directory: &Path) {
        fs::create_dir_all(directory).expect("a directory");
        for name in ["statement", "device"] {
            let (pem, der) = (format!("{name}.pem"), format!("{name}.der"));
            self.openssl(&["x509", "-in", &pem, "-outform", "DER", "-out", &der]);
            fs::write(directory.join(&der), self.read(&der)).expect("a file");
        }
    }

    fn sign(&self, name: &str, subject: &str, by: &str, extensions: &str, key: Option<&str>, days: &str) {
        let file = |suffix: &str| format!("{name}.{suffix}");
        let (request, own) = (file("csr"), file("key"));
        self.openssl(&["req", "-new", "-key", &own, "-subj", subject, "-out", &request]);
        let (maker, maker_key, out) = (format!("{by}.pem"), format!("{by}.key"), file("pem"));
        let mut arguments = vec!["x509", "-req", "-in", &request, "-CA", &maker, "-CAkey", &maker_key];
        arguments.extend(["-set_serial", "1", "-days", days, "-extfile", extensions, "-out", &out]);
        if let Some(key) = key {
            arguments.extend(["-force_pubkey", key]);
        }
        self.openssl(&arguments);
    }
}

/// An Ed25519 key of a certificate as SubjectPublicKeyInfo (RFC 8410).
///
/// # Panics
/// If the certificate has no such key.
pub fn public_pem(certificate: &[u8], key: &Fingerprint) -> String {
    let cert = Cert::from_bytes(certificate).expect("a certificate");
    let wanted = key.to_string();
    let mut keys = cert.keys();
    let found = keys.find(|key| key.key().fingerprint().to_hex().to_lowercase() == wanted);
    let found = found.expect("the key");
    let PublicKey::EdDSA { q, .. } = found.key().mpis() else {
        panic!("another kind of key")
    };
    let mut der = data_encoding::HEXLOWER
        .decode(b"302a300506032b6570032100")
        .expect("hexadecimal digits");
    der.extend(&q.value()[1..]);
    let text = data_encoding::BASE64.encode(&der);
    format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n")
}

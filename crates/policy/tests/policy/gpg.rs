//! Real gpg: it verifies what we sign, and what it signs is taken.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

use attestation::{Time, dsse::Envelope, openpgp::PgpSignature, tuf::Signed};
use data_encoding::HEXLOWER;
use policy::{SignatureRefusal, keyring::CertificateRefusal, statements::StatementRefusal, trusted_set::Judge};
use sequoia_openpgp::{Cert, parse::Parse as _, serialize::MarshalInto as _};
use signer::{Document, GnupgSigner, sign_metadata, sign_statement};
use testkit::{TestChain, TestPerson, peer};

use crate::{
    days,
    statements::{approval, envelope, judged, statement},
};

/// A home directory of gpg's own, with its agent, which ends with it.
pub(crate) struct Gpg(tempfile::TempDir);

impl Gpg {
    pub(crate) fn new() -> Option<Self> {
        peer::has("gpg").then(|| {
            let home = tempfile::tempdir().unwrap();
            #[cfg(unix)]
            fs::set_permissions(home.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
            Self(home)
        })
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.0.path().to_owned()
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        Command::new("gpg")
            .arg("--homedir")
            .arg(self.0.path())
            .args([
                "--batch",
                "--no-options",
                "--pinentry-mode",
                "loopback",
                "--passphrase",
                "",
            ])
            .args(arguments)
            .output()
            .unwrap()
    }

    pub(crate) fn must(&self, arguments: &[&str]) -> Vec<u8> {
        let output = self.run(arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    pub(crate) fn import(&self, certificate: &[u8]) {
        let path = self.write("certificate", certificate);
        self.must(&["--import", &path]);
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// A person whose private key only gpg has: a signing subkey of this algorithm.
    pub(crate) fn person(&self, name: &str, algorithm: &str) -> TestPerson {
        self.person_with(name, algorithm, &[], "2y")
    }

    pub(crate) fn person_with(&self, name: &str, algorithm: &str, options: &[&str], valid: &str) -> TestPerson {
        let must = |arguments: &[&str]| self.must(&[options, arguments].concat());
        must(&["--quick-generate-key", name, "ed25519", "cert", "4y"]);
        let primary = self.fingerprints(name)[0].clone();
        must(&["--quick-add-key", &primary, algorithm, "sign", valid]);
        let certificate = self.must(&["--export", name]);
        let cert = Cert::from_bytes(&certificate).unwrap();
        let subkeys = self.fingerprints(name).split_off(1);
        let keys = subkeys.iter().map(|key| key.to_lowercase().parse().unwrap());
        TestPerson {
            name: name.parse().unwrap(),
            secret: Vec::new(),
            keys: keys.collect(),
            primary: attestation::Sha256Digest::of(cert.primary_key().key().to_vec().unwrap()),
            certificate,
        }
    }

    /// The certificate of `name` after gpg revoked its subkey for a reason (as gpg numbers them) at a faked time.
    pub(crate) fn revoke_subkey(&self, name: &str, reason: &str, at: &str) -> Vec<u8> {
        let mut gpg = Command::new("gpg")
            .arg("--homedir")
            .arg(self.0.path())
            .args(["--no-options", "--pinentry-mode", "loopback", "--passphrase", ""])
            .args([
                "--no-tty",
                "--faked-system-time",
                at,
                "--command-fd",
                "0",
                "--edit-key",
                name,
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let answers = format!("key 1\nrevkey\ny\n{reason}\n\ny\nsave\n");
        gpg.stdin.take().unwrap().write_all(answers.as_bytes()).unwrap();
        assert!(gpg.wait().unwrap().success());
        self.must(&["--export", name])
    }

    pub(crate) fn fingerprints(&self, name: &str) -> Vec<String> {
        let listing = String::from_utf8(self.must(&["--with-colons", "--list-keys", name])).unwrap();
        let lines = listing.lines().filter(|line| line.starts_with("fpr:"));
        lines.map(|line| line.split(':').nth(9).unwrap().to_owned()).collect()
    }
}

impl Drop for Gpg {
    fn drop(&mut self) {
        // Its agent only, by its home.
        let _ = Command::new("gpgconf")
            .arg("--homedir")
            .arg(self.0.path())
            .args(["--kill", "all"])
            .output();
    }
}

pub(crate) fn now() -> Time {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Time::from_unix(i64::try_from(elapsed.as_secs()).unwrap())
}

fn verifies(gpg: &Gpg, signature: &str, document: &str) -> bool {
    let output = gpg.run(&["--status-fd", "1", "--verify", signature, document]);
    let said = String::from_utf8_lossy(&output.stdout).contains("[GNUPG:] GOODSIG");
    assert_eq!(said, output.status.success());
    said
}

#[test]
fn gpg_verifies_a_statement_of_ours() {
    let Some(gpg) = Gpg::new() else { return };
    let chain = TestChain::new(now());
    gpg.import(&chain.person("alice").certificate);
    let said = statement(&chain, "alice", approval(None, Some("b")));
    let envelope = envelope(&chain, "alice", 0, &said);
    let signature = gpg.write("statement.sig", &envelope.signature);
    let document = gpg.write("statement.pae", &envelope.signed_bytes());
    assert!(verifies(&gpg, &signature, &document));
    let mut other = envelope.signed_bytes();
    *other.last_mut().unwrap() ^= 1;
    let other = gpg.write("other.pae", &other);
    assert!(!verifies(&gpg, &signature, &other), "gpg takes a changed statement");
}

/// The recipe of docs/formats.md, as it stands there.
#[test]
fn gpg_alone_verifies_a_statement_by_hand() {
    let Some(gpg) = Gpg::new() else { return };
    let formats = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/formats.md");
    let formats = fs::read_to_string(formats).unwrap();
    let (_, section) = formats.split_once("### Verify one by hand, with gpg alone").unwrap();
    let recipe = section.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    let chain = TestChain::new(now());
    let said = statement(&chain, "alice", approval(None, Some("b")));
    let honest = envelope(&chain, "alice", 0, &said);
    let mut hostile = honest.clone();
    hostile.payload = statement(&chain, "alice", approval(None, Some("c"))).to_bytes();
    gpg.write("author.asc", &chain.person("alice").certificate);
    for (envelope, good) in [(honest, true), (hostile, false)] {
        gpg.write("statement.dsse.json", &envelope.to_bytes());
        let output = Command::new("sh")
            .args(["-e", "-c", recipe])
            .current_dir(gpg.home())
            .env("GNUPGHOME", gpg.home())
            .output()
            .unwrap();
        let said_by_gpg = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), good, "{said_by_gpg}");
        if good {
            let digest = String::from_utf8(output.stdout).unwrap();
            assert!(digest.starts_with(&said.id().to_string()), "{digest}");
        } else {
            assert!(said_by_gpg.contains("BAD signature"), "{said_by_gpg}");
        }
    }
}

#[test]
fn gpg_verifies_metadata_of_ours() {
    let Some(gpg) = Gpg::new() else { return };
    let mut chain = TestChain::new(now());
    gpg.import(&chain.person("alice").certificate);
    let targets = chain.draft_release("unstable", &[]);
    let signature = chain.sign_with(&Document::Targets(&targets), "alice", 0);
    let document = Document::Targets(&targets).bytes();
    let packet = packet_of(&signature, &document);
    assert_eq!(PgpSignature::from_packet(&packet).unwrap().to_tuf(), signature);
    let signature = gpg.write("targets.sig", &packet);
    let document = gpg.write("targets", &document);
    assert!(verifies(&gpg, &signature, &document));
}

/// The binary packet, made from TUF's encoding as docs/formats.md says.
fn packet_of(signature: &attestation::tuf::Signature, document: &[u8]) -> Vec<u8> {
    let mut body = HEXLOWER
        .decode(signature.other_headers.as_ref().unwrap().as_bytes())
        .unwrap();
    // No unhashed subpackets; the first two bytes of the digest.
    body.extend([0, 0]);
    let digest = PgpSignature::from_tuf(signature).unwrap().digest_of(document);
    body.extend(&digest.as_bytes()[..2]);
    for half in HEXLOWER.decode(signature.sig.as_bytes()).unwrap().chunks(32) {
        let number: Vec<u8> = half.iter().copied().skip_while(|byte| *byte == 0).collect();
        let bits = number.len() * 8 - number[0].leading_zeros() as usize;
        body.extend(u16::try_from(bits).unwrap().to_be_bytes());
        body.extend(number);
    }
    let mut packet = vec![0x88, u8::try_from(body.len()).unwrap()];
    packet.extend(body);
    packet
}

/// bob's key lives in gpg; his signatures on metadata and statements count as everybody's.
fn taken_from_gpg(algorithm: &str) {
    let Some(gpg) = Gpg::new() else { return };
    let mut all = testkit::chain::people(now());
    all[1] = gpg.person("bob", algorithm);
    // The root is made by alice and carol, whose keys we have.
    let start = now();
    let mut chain = TestChain::with_policy(all, start, |policy| {
        let root = policy.roles.get_mut(&"root".parse().unwrap()).unwrap();
        root.people = ["alice", "carol", "dave"].map(|name| name.parse().unwrap()).into();
    });
    let bob = GnupgSigner::new(chain.person("bob").keys[0].clone(), Some(gpg.home()));
    let targets = chain.draft_release("unstable", &[("nixexprs.tar.xz", b"bytes")]);
    let mut signatures = chain.sign(&Document::Targets(&targets), &["alice"]);
    signatures.push(sign_metadata(&bob, &Document::Targets(&targets)).unwrap());
    chain.place_targets("unstable", &Signed::new(targets, signatures));
    chain.publish();
    let set = chain.visit("unstable").expect("gpg's signature counts");
    let release = set.current_release(&"unstable".parse().unwrap()).unwrap();
    let people: Vec<_> = release
        .verified()
        .evidence()
        .vouches
        .iter()
        .map(|v| v.person.clone().unwrap())
        .collect();
    assert_eq!(people, ["alice".parse().unwrap(), "bob".parse().unwrap()]);

    let said = statement(&chain, "bob", approval(None, Some("b")));
    let envelope = sign_statement(&bob, &said).unwrap();
    judged(&chain)
        .court()
        .unwrap()
        .verify(&envelope)
        .expect("gpg's statement counts");

    // gpg revokes the key: from then on it counts no more.
    chain.keyring.add(&revoked_by(&gpg, "bob")).unwrap();
    assert!(judged(&chain).court().unwrap().verify(&envelope).is_err());
    let mut set = chain.client(Judge::Current, start.plus(days(1))).unwrap();
    assert!(chain.update(&mut set, "unstable").is_err());
}

/// The certificate with the revocation that gpg made when it made the key, its brake (a colon before the armor)
/// taken off.
fn revoked_by(gpg: &Gpg, name: &str) -> Vec<u8> {
    let primary = gpg.fingerprints(name)[0].clone();
    let stored = Path::join(&gpg.home(), format!("openpgp-revocs.d/{primary}.rev"));
    let text = fs::read_to_string(stored).unwrap().replace(":-----BEGIN", "-----BEGIN");
    let path = gpg.write("revocation", text.as_bytes());
    gpg.must(&["--import", &path]);
    gpg.must(&["--export", name])
}

#[test]
fn takes_ed25519_signatures_made_by_gpg() {
    taken_from_gpg("ed25519");
}

#[test]
fn takes_rsa_2048_signatures_made_by_gpg() {
    taken_from_gpg("rsa2048");
}

#[test]
fn takes_rsa_4096_signatures_made_by_gpg() {
    taken_from_gpg("rsa4096");
}

/// A chain where dave, who signs statements only, has his key in gpg.
fn with_dave(gpg: &Gpg, algorithm: &str) -> (TestChain, Envelope) {
    let mut all = testkit::chain::people(now());
    all[3] = gpg.person("dave", algorithm);
    let chain = TestChain::with_policy(all, now(), |_| {});
    let dave = GnupgSigner::new(chain.person("dave").keys[0].clone(), Some(gpg.home()));
    let envelope = sign_statement(&dave, &statement(&chain, "dave", approval(None, Some("b")))).unwrap();
    (chain, envelope)
}

/// Why dave's statement does not count at `at`; `None` if it does.
fn refusal(chain: &TestChain, envelope: &Envelope, at: Time) -> Option<CertificateRefusal> {
    let set = chain.client(Judge::Authentic, at).unwrap();
    match set.court().unwrap().verify(envelope) {
        Ok(_) => None,
        Err(StatementRefusal::Signature {
            source: SignatureRefusal::Certificate(refusal),
            ..
        }) => Some(refusal),
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn takes_p_256_statements_made_by_gpg() {
    let Some(gpg) = Gpg::new() else { return };
    let (chain, envelope) = with_dave(&gpg, "nistp256/ecdsa");
    assert_eq!(refusal(&chain, &envelope, now()), None);
    let mut other = envelope.clone();
    other.payload = statement(&chain, "dave", approval(None, Some("c"))).to_bytes();
    assert!(judged(&chain).court().unwrap().verify(&other).is_err());
    // And gpg takes the same bytes.
    let signature = gpg.write("statement.sig", &envelope.signature);
    let document = gpg.write("statement.pae", &envelope.signed_bytes());
    assert!(verifies(&gpg, &signature, &document));
    let document = gpg.write("other.pae", &other.signed_bytes());
    assert!(!verifies(&gpg, &signature, &document));
}

/// A card's P-256 key does not sign a release, and says so before anybody counts.
#[test]
fn refuses_to_sign_metadata_with_a_p_256_key_of_gpgs() {
    let Some(gpg) = Gpg::new() else { return };
    let (mut chain, _) = with_dave(&gpg, "nistp256/ecdsa");
    let targets = chain.draft_release("unstable", &[]);
    let dave = GnupgSigner::new(chain.person("dave").keys[0].clone(), Some(gpg.home()));
    let error = sign_metadata(&dave, &Document::Targets(&targets)).unwrap_err();
    assert!(matches!(error, signer::SignError::Form(_)), "{error:?}");
}

/// What gpg's own revocations take away: a key that was retired from then on, a key that was lost for ever.
#[test]
fn soft_and_hard_revocations_made_by_gpg_subtract() {
    let Some(gpg) = Gpg::new() else { return };
    let (chain, envelope) = with_dave(&gpg, "ed25519");
    let soon = now().plus(days(1));
    assert_eq!(refusal(&chain, &envelope, soon), None, "the honest twin");
    // 2: superseded. It counts from its own date on.
    let later = now().plus(days(100));
    let mut retired = chain.clone();
    retired
        .keyring
        .add(&gpg.revoke_subkey("dave", "2", &gpg_time(later)))
        .unwrap();
    assert_eq!(refusal(&retired, &envelope, soon), None, "it retires later");
    let found = refusal(&retired, &envelope, later.plus(days(1)));
    assert!(matches!(found, Some(CertificateRefusal::Revoked { .. })), "{found:?}");

    let gpg = Gpg::new().unwrap();
    let (mut lost, envelope) = with_dave(&gpg, "ed25519");
    // 1: compromised, at any date: whoever has the key dates its signatures as they like.
    lost.keyring
        .add(&gpg.revoke_subkey("dave", "1", &gpg_time(later)))
        .unwrap();
    let found = refusal(&lost, &envelope, soon);
    assert!(matches!(found, Some(CertificateRefusal::Revoked { .. })), "{found:?}");
}

/// As `--faked-system-time` takes it.
pub(crate) fn gpg_time(time: Time) -> String {
    time.to_string().replace(['-', ':', 'Z'], "")
}

#[test]
fn refuses_a_statement_by_a_key_of_gpgs_that_has_expired() {
    let Some(gpg) = Gpg::new() else { return };
    let mut all = testkit::chain::people(now());
    let stamp = gpg_time(now().minus(days(40)));
    let faked = ["--faked-system-time", &*stamp];
    all[3] = gpg.person_with("dave", "ed25519", &faked, "60d");
    let chain = TestChain::with_policy(all, now(), |_| {});
    let dave = GnupgSigner::new(chain.person("dave").keys[0].clone(), Some(gpg.home()));
    let envelope = sign_statement(&dave, &statement(&chain, "dave", approval(None, Some("b")))).unwrap();
    assert_eq!(refusal(&chain, &envelope, now()), None, "the honest twin");
    let found = refusal(&chain, &envelope, now().plus(days(21)));
    assert!(matches!(found, Some(CertificateRefusal::NotValid { .. })), "{found:?}");
}

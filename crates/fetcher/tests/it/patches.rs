//! Patches: used when they save bytes, verified like the whole, and nothing is lost when they fail.

use std::fs;

use attestation::Sha256Digest;
use fetcher::{Fault, Fetched, Options, Outcome, Silent, TransportError, UpdateError};
use install::{InstallError, patch::PatchError};
use testkit::{ChannelTarball, TestChain, tarball::patch_file};

use crate::common::{Site, Subscriber, now};

/// A channel with enough in it that a patch is worth it.
fn tarball(text: &str) -> ChannelTarball {
    let noise: String = (0..400_u32)
        .map(|at| Sha256Digest::of(at.to_le_bytes()).to_string())
        .collect();
    ChannelTarball::new(&[("default.nix", text), ("pkgs/noise.nix", &noise), ("lib/a.nix", "{ }")])
}

/// Release 1 is installed; release 2 is served, with a patch from 1.
fn patched() -> (TestChain, Site, Subscriber) {
    let mut chain = TestChain::new(now());
    chain.release_tarball("unstable", &tarball("1"));
    let site = Site::new(&chain);
    let subscriber = Subscriber::new(&chain);
    subscriber.update(&site).unwrap();
    chain.release_patched("unstable", &tarball("2"), &[&tarball("1")]);
    site.serve(&chain);
    (chain, site, subscriber)
}

fn patch_path(chain: &TestChain) -> String {
    chain
        .files
        .keys()
        .find(|path| path.contains(".patch-"))
        .unwrap()
        .clone()
}

#[test]
fn updates_by_a_patch_and_says_so() {
    let (chain, site, subscriber) = patched();
    let update = subscriber.update(&site).unwrap();
    assert!(
        matches!(&update.fetched, Fetched::Patch { from } if from.get() == 1),
        "{:?}",
        update.fetched
    );
    assert_eq!(subscriber.installed().1, tarball("2").nar);
    let whole = tarball("2").bytes.len() as u64;
    assert!(update.bytes < whole, "{} bytes, the whole has {whole}", update.bytes);
    subscriber.assert_tidy();
    // A newcomer has nothing to start from.
    let newcomer = Subscriber::new(&chain);
    let update = newcomer.update(&site).unwrap();
    assert!(matches!(update.fetched, Fetched::Whole { patch: None }));
    assert_eq!(newcomer.installed().1, tarball("2").nar);
}

#[test]
fn skips_releases_by_the_patch_from_the_one_it_has() {
    let (mut chain, site, subscriber) = patched();
    chain.release_patched("unstable", &tarball("3"), &[&tarball("2"), &tarball("1")]);
    site.serve(&chain);
    let update = subscriber.update(&site).unwrap();
    assert!(matches!(&update.fetched, Fetched::Patch { .. }));
    assert_eq!(subscriber.installed().1, tarball("3").nar);
}

/// Installs all the same, by the whole; and says why not by the patch.
fn falls_back(subscriber: &Subscriber, site: &Site) -> UpdateError {
    let update = subscriber.update(site).unwrap();
    assert_eq!(update.outcome, Outcome::Installed);
    assert_eq!(subscriber.installed().1, tarball("2").nar);
    subscriber.assert_tidy();
    match update.fetched {
        Fetched::Whole { patch: Some(error) } => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn falls_back_to_the_whole_when_the_patch_is_missing_or_was_tampered_with() {
    let (mut chain, site, subscriber) = patched();
    let path = patch_path(&chain);
    chain.files.get_mut(&path).unwrap()[40] ^= 1;
    site.serve(&chain);
    assert!(matches!(falls_back(&subscriber, &site), UpdateError::Digest { .. }));

    let (mut chain, site, subscriber) = patched();
    chain.files.remove(&path);
    site.serve(&chain);
    let error = falls_back(&subscriber, &site);
    assert!(
        matches!(
            error,
            UpdateError::Transport(TransportError {
                fault: Fault::NotFound,
                ..
            })
        ),
        "{error:?}"
    );
}

#[test]
fn falls_back_to_the_whole_when_a_signed_patch_leads_elsewhere() {
    for (patch, hostile) in [
        (b"no patch at all".to_vec(), true),
        (patch_file(b"", b"", b""), false),
        (tarball("evil").patch_from(&tarball("1")).1, false),
    ] {
        let (mut chain, site, subscriber) = {
            let mut chain = TestChain::new(now());
            chain.release_tarball("unstable", &tarball("1"));
            let site = Site::new(&chain);
            let subscriber = Subscriber::new(&chain);
            subscriber.update(&site).unwrap();
            (chain, site, subscriber)
        };
        let (name, _) = tarball("2").patch_from(&tarball("1"));
        chain.release_with_files("unstable", &tarball("2"), &[(name, patch)]);
        site.serve(&chain);
        let error = falls_back(&subscriber, &site);
        let expected = if hostile {
            matches!(
                error,
                UpdateError::Install(InstallError::Patch(PatchError::Damaged(_) | PatchError::Magic))
            )
        } else {
            matches!(error, UpdateError::Install(InstallError::OtherTree { .. }))
        };
        assert!(expected, "{error:?}");
    }
}

#[test]
fn falls_back_to_the_whole_when_the_installed_files_were_touched() {
    let (_chain, site, subscriber) = patched();
    let current = subscriber.state().current().unwrap().unwrap();
    let lib = current.nixexprs().join("lib/a.nix");
    fs::remove_file(&lib).unwrap();
    fs::write(&lib, "evil").unwrap();
    let error = falls_back(&subscriber, &site);
    assert!(
        matches!(error, UpdateError::Install(InstallError::OtherTree { .. })),
        "{error:?}"
    );
}

#[test]
fn damage_that_links_share_is_seen_in_every_generation_and_repaired_by_a_whole_download() {
    use std::os::unix::fs::MetadataExt as _;
    let (_chain, site, subscriber) = patched();
    subscriber.update(&site).unwrap();
    let generations = subscriber.state().generations().unwrap();
    let file = |at: usize| generations[at].nixexprs().join("lib/a.nix");
    assert_eq!(
        fs::metadata(file(0)).unwrap().ino(),
        fs::metadata(file(1)).unwrap().ino()
    );
    // Root writes into the file in place.
    let mode = fs::metadata(file(1)).unwrap().permissions();
    fs::set_permissions(file(1), std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    fs::write(file(1), "evil").unwrap();
    fs::set_permissions(file(1), mode).unwrap();
    for generation in &generations {
        let error = subscriber.verify(generation).unwrap_err();
        assert!(
            matches!(error, install::verify::VerifyError::OtherTree { .. }),
            "{error:?}"
        );
    }
    assert_eq!(
        subscriber.update(&site).unwrap().outcome,
        Outcome::Unchanged,
        "an update does not hash what is there"
    );
    let options = Options {
        repair: true,
        ..Options::default()
    };
    let repaired = fetcher::update(
        &subscriber.subscription,
        &subscriber.locked(),
        &[&site.transport()],
        options,
        now(),
        &Silent,
    )
    .unwrap();
    assert_eq!((repaired.outcome, repaired.generation.get()), (Outcome::Installed, 3));
    assert!(matches!(repaired.fetched, Fetched::Whole { .. }));
    subscriber
        .verify(&subscriber.state().current().unwrap().unwrap())
        .unwrap();
}

#[test]
fn does_not_take_a_patch_that_saves_nothing() {
    let mut chain = TestChain::new(now());
    chain.release_tarball("unstable", &tarball("1"));
    let site = Site::new(&chain);
    let subscriber = Subscriber::new(&chain);
    subscriber.update(&site).unwrap();
    let (name, mut patch) = tarball("2").patch_from(&tarball("1"));
    patch.resize(tarball("2").bytes.len() + 1, 0);
    chain.release_with_files("unstable", &tarball("2"), &[(name, patch)]);
    site.serve(&chain);
    let update = subscriber.update(&site).unwrap();
    assert!(
        matches!(update.fetched, Fetched::Whole { patch: None }),
        "{:?}",
        update.fetched
    );
}

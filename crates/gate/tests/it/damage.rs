//! Whatever is in doubt, nothing is built.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use gate::{approvals::Draft, judge::Judge};

use crate::machine::{Machine, on_each, store_path};

#[test]
fn what_is_approved_is_built_and_what_is_not_is_refused() {
    on_each(|machine| {
        let good = machine.instantiate(&Machine::plain("good", ""));
        let bad = machine.instantiate(&Machine::plain("bad", ""));
        machine.approve(&[&good]);
        machine.refuses(&bad, "not-approved");
        assert_eq!(machine.last_refusal().1, bad);
        machine.build(&good).ok();
        // Taken back, and built anew.
        machine.approve_files(&Draft::default());
        machine.nix(&["nix-collect-garbage"]).ok();
        let good = machine.instantiate(&Machine::plain("good", ""));
        machine.refuses(&good, "not-approved");
    });
}

#[test]
fn refuses_a_good_derivation_whose_dependency_is_not_approved() {
    on_each(|machine| {
        let needs = format!(
            "let a = {}; in {}",
            Machine::plain("a", ""),
            Machine::plain("b", "inherit a;")
        );
        let top = machine.instantiate(&needs);
        let recipe = machine.store().recipe(&store_path(&top)).unwrap();
        let mut draft = Draft::default();
        draft.approve_derivation(recipe.name(), &recipe.derivation);
        machine.approve_files(&draft);
        machine.refuses(&top, "not-approved");
        assert!(machine.last_refusal().1.ends_with("-a.drv"));
        machine.approve(&[&top]);
        machine.build(&top).ok();
    });
}

#[test]
fn refuses_everything_while_approvals_or_settings_are_missing_corrupt_or_foreign() {
    on_each(|machine| {
        let good = machine.instantiate(&Machine::plain("good", ""));
        machine.approve(&[&good]);
        let (approvals, settings) = (machine.place.approvals(), machine.place.settings());
        for (path, code) in [(&approvals, "approvals"), (&settings, "settings")] {
            let kept = fs::read(path).unwrap();
            let put = |bytes: &[u8]| {
                machine
                    .place
                    .replace(path, 0o644, |file| file.write_all(bytes))
                    .unwrap();
            };
            fs::remove_file(path).unwrap();
            machine.refuses(&good, code);
            put(&kept[..kept.len() - 3]);
            machine.refuses(&good, code);
            put(&[b"x", &kept[..]].concat());
            machine.refuses(&good, code);
            put(&kept);
            fs::set_permissions(path, fs::Permissions::from_mode(0o666)).unwrap();
            machine.refuses(&good, code);
            fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
            std::os::unix::fs::chown(path, Some(3001), None).unwrap();
            machine.refuses(&good, code);
            put(&kept);
        }
        machine.build(&good).ok();
    });
}

#[test]
fn refuses_when_the_hook_is_missing_not_executable_or_killed() {
    on_each(|machine| {
        let good = machine.instantiate(&Machine::plain("good", ""));
        machine.approve(&[&good]);
        let hook = machine.place.hook();
        let aside = machine.path("aside");
        fs::rename(&hook, &aside).unwrap();
        assert_ne!(machine.build(&good).code, Some(0), "missing");
        fs::write(&hook, "#!/bin/sh\nkill -9 $$\n").unwrap();
        assert_ne!(machine.build(&good).code, Some(0), "not executable");
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
        assert_ne!(machine.build(&good).code, Some(0), "killed");
        // Behind a slow one that is not there, nothing is built either.
        let slow = |program: &Path| format!("#!/bin/sh\nbusybox sleep 1\nexec {} \"$@\"\n", program.display());
        let put = |text: &str| {
            fs::remove_file(&hook).unwrap();
            fs::write(&hook, text).unwrap();
            fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
        };
        put(&slow(&machine.path("gate/x/pre-build-hook")));
        assert_ne!(machine.build(&good).code, Some(0), "missing behind a slow one");
        // Slow is only slow: it is waited for, and its word counts, whatever it is.
        let beside = machine.path("gate/beside");
        fs::create_dir_all(&beside).unwrap();
        for name in ["approvals", "settings.json"] {
            fs::copy(machine.place.directory().join(name), beside.join(name)).unwrap();
        }
        fs::copy(&aside, beside.join("pre-build-hook")).unwrap();
        put(&slow(&beside.join("pre-build-hook")));
        let bad = machine.instantiate(&Machine::plain("bad", ""));
        let start = Instant::now();
        machine.build(&bad).refused_by_hook();
        assert!(start.elapsed() >= Duration::from_secs(1));
        machine.build(&good).ok();
        machine
            .nix(&[
                "nix-store",
                "--delete",
                "--ignore-liveness",
                &machine.nix(&["nix-store", "-q", "--outputs", &good]).ok(),
            ])
            .ok();
        fs::rename(&aside, &hook).unwrap();
        machine.build(&good).ok();
    });
}

#[test]
fn refuses_a_derivation_file_that_holds_another_one() {
    on_each(|machine| {
        let good = machine.instantiate(&Machine::plain("good", ""));
        let evil = machine.instantiate(&Machine::plain("evil", ""));
        machine.approve(&[&good]);
        let file = |path: &str| machine.store_directory().join(store_path(path).base_name());
        let bytes = fs::read(file(&evil)).unwrap();
        fs::remove_file(file(&good)).unwrap();
        fs::write(file(&good), bytes).unwrap();
        let judge = Judge::open(&machine.place, machine.store()).unwrap();
        assert_eq!(judge.derivation(&store_path(&good)).unwrap_err().code(), "swapped");
        fs::remove_file(file(&good)).unwrap();
        assert_eq!(judge.derivation(&store_path(&good)).unwrap_err().code(), "store");
        std::os::unix::fs::symlink(file(&evil), file(&good)).unwrap();
        assert_eq!(judge.derivation(&store_path(&good)).unwrap_err().code(), "store");
        assert_eq!(judge.build("/tmp/x.drv", None).unwrap_err().code(), "path");
        assert_eq!(
            judge.build(&format!("{good}/../x.drv"), None).unwrap_err().code(),
            "path"
        );
        assert_eq!(judge.derivation(&store_path(&evil)).unwrap_err().code(), "not-approved");
    });
}

#[test]
fn a_derivation_whose_environment_imitates_an_approved_one_is_refused() {
    on_each(|machine| {
        let good = machine.instantiate(&Machine::plain("good", ""));
        machine.approve(&[&good]);
        let imitates = format!("drvPath_ = \"{good}\"; __drv = \"{good}\"; out2 = \"{good}\";");
        let evil = machine.instantiate(&Machine::plain("good", &imitates));
        machine.refuses(&evil, "not-approved");
        machine.build(&good).ok();
    });
}

#[test]
fn refuses_an_approved_output_that_a_broken_hash_fixes_unless_the_owner_named_it() {
    on_each(|machine| {
        for (algorithm, hash) in [
            ("sha1", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
            ("md5", "d41d8cd98f00b204e9800998ecf8427e"),
        ] {
            let fixed = |name: &str, algorithm: &str, hash: &str| {
                machine.instantiate(&format!(
                    "derivation {{ name = \"{name}\"; system = \"x86_64-linux\"; builder = \"/bin/sh\"; args = [ \"-c\" \
                     \"> $out\" ]; outputHash = \"{hash}\"; outputHashAlgo = \"{algorithm}\"; }}"
                ))
            };
            let broken = fixed(algorithm, algorithm, hash);
            let sound = fixed(
                "sound",
                "sha256",
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            );
            machine.approve(&[&broken, &sound]);
            machine.set(|_| {});
            machine.refuses(&broken, "broken-hash");
            machine.build(&sound).ok();
            machine.set(|settings| settings.broken_hashes = vec![store_path(&broken).base_name().to_owned()]);
            machine.build(&broken).ok();
        }
    });
}

#[test]
fn refuses_outputs_whose_paths_nobody_knows_before_the_build() {
    on_each(|machine| {
        let floating = Machine::plain(
            "floating",
            "__contentAddressed = true; outputHashMode = \"recursive\"; outputHashAlgo = \"sha256\";",
        );
        let file = machine.write("floating.nix", &floating);
        let ran = machine.nix(&[
            "nix-build",
            "--option",
            "extra-experimental-features",
            "ca-derivations",
            &file,
        ]);
        ran.refused_by_hook();
        assert_eq!(machine.last_refusal().0, "derivation-kind");
    });
}

#[test]
fn approvals_that_change_while_builds_run_are_the_old_or_the_new_ones() {
    on_each(|machine| {
        let instantiate = |name: String| machine.instantiate(&Machine::plain(&name, ""));
        let good: Vec<String> = (0..4).map(|number| instantiate(format!("good{number}"))).collect();
        let bad = instantiate("bad".to_owned());
        let good: Vec<&str> = good.iter().map(String::as_str).collect();
        let small = machine.draft(&good);
        let mut large = small.clone();
        for number in 0..20_000_u32 {
            large.approve(gate::Fact::Tarball(nixstore::Sha256Digest::of(number.to_le_bytes())));
        }
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let mut written = 0;
                while !done.load(Ordering::Relaxed) {
                    machine.approve_files(if written % 2 == 0 { &large } else { &small });
                    written += 1;
                }
                written
            });
            let ran: Vec<_> = good.iter().map(|path| machine.build(path)).collect();
            let refused = machine.build(&bad);
            done.store(true, Ordering::Relaxed);
            assert!(writer.join().unwrap() > 10);
            for ran in ran {
                ran.ok();
            }
            refused.refused_by_hook();
        });
        assert_eq!(machine.last_refusal().0, "not-approved");
    });
}

#[test]
fn a_hook_that_the_machine_had_before_is_called_after_ours_and_its_word_counts() {
    on_each(|machine| {
        let good = machine.instantiate(&Machine::plain("good", ""));
        let bad = machine.instantiate(&Machine::plain("bad", ""));
        machine.approve(&[&good]);
        let chained = machine.write(
            "chained",
            &format!("#!/bin/sh\necho \"$1\" >> {}\n", machine.path("seen").display()),
        );
        fs::set_permissions(&chained, fs::Permissions::from_mode(0o755)).unwrap();
        machine.set(|settings| settings.chained_hook = Some(chained.clone().into()));
        machine.refuses(&bad, "not-approved");
        assert!(!machine.path("seen").exists(), "a refused build reaches no other hook");
        machine.build(&good).ok();
        assert_eq!(fs::read_to_string(machine.path("seen")).unwrap().trim(), good);
        fs::write(&chained, "#!/bin/sh\nexit 1\n").unwrap();
        let other = machine.instantiate(&Machine::plain("other", ""));
        machine.approve(&[&other]);
        machine.build(&other).refused_by_hook();
        fs::remove_file(&chained).unwrap();
        machine.build(&other).refused_by_hook();
    });
}

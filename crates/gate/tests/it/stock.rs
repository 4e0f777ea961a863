//! Stock commands of Nix on content that is approved, and what attackers make of the same commands.

use std::fs;

use gate::{approvals::Draft, judge::Judge};
use testkit::world::Server;

use crate::machine::{Machine, on_each, store_path, tarball};

const CHANNEL: &[(&str, &str)] = &[
    ("default.nix", "{ ... }: { hello = import ./hello.nix; }"),
    ("hello.nix", HELLO),
];
const HELLO: &str = "derivation { name = \"hello\"; system = \"x86_64-linux\"; builder = \"/bin/sh\"; args = [ \"-c\" \
                     \"mkdir -p $out/bin; echo hi > $out/bin/hello\" ]; }";

/// A channel that is served, and the bytes of its tarball.
fn channel(machine: &Machine, files: &[(&str, &str)]) -> (Server, Vec<u8>) {
    let site = machine.path("site/channel");
    fs::create_dir_all(&site).unwrap();
    // nix-channel asks for the folder before it asks for what is in it.
    fs::write(site.join("index.html"), "a channel").unwrap();
    let bytes = tarball(&site, files);
    (Server::start(&machine.path("site")), bytes)
}

#[test]
fn a_channel_is_unpacked_when_its_tarball_is_approved_and_packages_of_it_are_installed() {
    on_each(|machine| {
        let (server, bytes) = channel(machine, CHANNEL);
        let hello = machine.instantiate(HELLO);
        machine.approve(&[&hello]);
        machine
            .nix(&["nix-channel", "--add", &format!("{}/channel", server.url()), "nixpkgs"])
            .ok();
        machine.nix(&["nix-channel", "--update"]).refused_by_hook();
        assert_eq!(machine.last_refusal().0, "tarball");
        machine.approve_with_tarball(&[&hello], &bytes);
        machine.nix(&["nix-channel", "--update"]).ok();
        machine.nix(&["nix-env", "-iA", "nixpkgs.hello"]).ok();
        let path = machine
            .nix(&["nix-build", "<nixpkgs>", "-A", "hello", "--no-out-link"])
            .ok();
        assert_eq!(
            fs::read_to_string(
                machine
                    .store_directory()
                    .join(store_path(&path).base_name())
                    .join("bin/hello")
            )
            .unwrap(),
            "hi\n"
        );
        machine.nix(&["nix-shell", "<nixpkgs>", "-A", "hello", "--run", "true"]);
        // Going back and clearing up ask nobody.
        machine.nix(&["nix-env", "-e", "hello"]).ok();
        machine.nix(&["nix-env", "--rollback"]).ok();
        machine.nix(&["nix-collect-garbage"]).ok();
        machine.nix(&["nix-env", "-q"]).ok();
        // Another version of the channel is another tarball.
        drop(server);
        let (server, _) = channel(machine, &[("default.nix", "{ ... }: { }")]);
        machine
            .nix(&["nix-channel", "--add", &format!("{}/channel", server.url()), "nixpkgs"])
            .ok();
        machine.nix(&["nix-channel", "--update"]).refused_by_hook();
        assert_eq!(machine.last_refusal().0, "tarball");
    });
}

#[test]
fn refuses_an_environment_with_one_package_that_is_not_approved() {
    on_each(|machine| {
        let hello = machine.instantiate(HELLO);
        let bad = machine.instantiate(&Machine::plain("bad", ""));
        machine.approve(&[&hello, &bad]);
        machine.build(&bad).ok();
        machine.approve(&[&hello]);
        machine.nix(&["nix-env", "-i", &hello]).ok();
        machine.nix(&["nix-env", "-i", &bad]).refused_by_hook();
        assert_eq!(machine.last_refusal().0, "object");
        machine.approve(&[&hello, &bad]);
        machine.nix(&["nix-env", "-i", &bad]).ok();
    });
}

#[test]
fn a_channel_that_is_no_longer_approved_is_not_put_into_an_environment_by_a_hint() {
    on_each(|machine| {
        let (server, bytes) = channel(machine, CHANNEL);
        machine.approve_with_tarball(&[], &bytes);
        machine
            .nix(&["nix-channel", "--add", &format!("{}/channel", server.url()), "nixpkgs"])
            .ok();
        machine.nix(&["nix-channel", "--update"]).ok();
        let unpacked = fs::read_dir(machine.place.passed()).unwrap();
        let channel = unpacked
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .find(|name| name.ends_with("-nixpkgs"))
            .unwrap();
        let object = format!("/nix/store/{channel}");
        machine
            .nix(&["nix-env", "-p", "/nix/var/nix/profiles/a", "-i", &object])
            .ok();
        machine.approve_files(&Draft::default());
        machine.nix(&["nix-env", "-p", "/nix/var/nix/profiles/b", "-i", &object, &object]);
        // A hint that names an approved derivation for another object is of no use either.
        let hello = machine.instantiate(HELLO);
        machine.approve(&[&hello]);
        fs::write(machine.place.passed().join(&channel), store_path(&hello).base_name()).unwrap();
        let judge = Judge::open(&machine.place, machine.store()).unwrap();
        let profiles: Vec<_> = fs::read_dir(machine.store_directory())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with("user-environment.drv"))
            .collect();
        let refused = profiles.iter().filter(|name| {
            let verdict = judge.derivation(&name.parse().unwrap());
            verdict.is_err_and(|refusal| refusal.code() == "object")
        });
        assert!(refused.count() >= 1, "{profiles:?}");
    });
}

/// `unpack-channel` of the approved tarball, with something changed.
fn unpack(src: &str, change: &str) -> String {
    format!(
        "derivation ({{ name = \"nixpkgs\"; channelName = \"nixpkgs\"; system = \"builtin\"; builder = \"builtin:unpack-channel\"; \
         preferLocalBuild = true; src = builtins.storePath \"{src}\"; }} // {{ {change} }})"
    )
}

#[test]
fn refuses_an_unpack_channel_of_another_form() {
    on_each(|machine| {
        let bytes = tarball(&machine.path(""), CHANNEL);
        let src = machine.nix(&["nix-store", "--add", "nixexprs.tar.xz"]).ok();
        let hello = machine.instantiate(HELLO);
        machine.approve_with_tarball(&[&hello], &bytes);
        machine.build(&hello).ok();
        let other = machine.nix(&["nix-store", "-q", "--outputs", &hello]).ok();
        for change in [
            "extra = \"1\";".to_owned(),
            "name = \"other\"; channelName = \"../../evil\";".to_owned(),
            "channelName = \"a/b\";".to_owned(),
            "channelName = \".hidden\";".to_owned(),
            "args = [ \"x\" ];".to_owned(),
            "preferLocalBuild = false;".to_owned(),
            "outputs = [ \"out\" \"dev\" ];".to_owned(),
            format!("src = \"${{builtins.storePath \"{src}\"}}/x\";"),
            format!("src = [ (builtins.storePath \"{src}\") (builtins.storePath \"{other}\") ];"),
            format!("src = import {}; ", machine.write("hello.nix", HELLO)),
            "system = \"x86_64-linux\";".to_owned(),
            "outputHash = \"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"; outputHashAlgo = \"sha256\";"
                .to_owned(),
        ] {
            let forged = machine.instantiate(&unpack(&src, &change));
            machine.refuses(&forged, "form");
        }
        let honest = machine.instantiate(&unpack(&src, ""));
        machine.build(&honest).ok();
    });
}

#[test]
fn refuses_a_tarball_that_was_swapped_or_is_a_link() {
    on_each(|machine| {
        let bytes = tarball(&machine.path(""), CHANNEL);
        let src = machine.nix(&["nix-store", "--add", "nixexprs.tar.xz"]).ok();
        machine.approve_with_tarball(&[], &bytes);
        let honest = machine.instantiate(&unpack(&src, ""));
        let judge = || Judge::open(&machine.place, machine.store()).unwrap();
        judge().derivation(&store_path(&honest)).unwrap();
        let file = machine.store_directory().join(store_path(&src).base_name());
        let evil = tarball(&machine.path(""), &[("default.nix", "evil")]);
        fs::remove_file(&file).unwrap();
        fs::write(&file, &evil).unwrap();
        machine.refuses(&honest, "tarball");
        let aside = machine.path("aside");
        fs::write(&aside, &bytes).unwrap();
        fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink(&aside, &file).unwrap();
        assert_eq!(judge().derivation(&store_path(&honest)).unwrap_err().code(), "store");
    });
}

#[test]
fn refuses_environments_of_another_form() {
    on_each(|machine| {
        let hello = machine.instantiate(HELLO);
        machine.approve(&[&hello]);
        let output = machine.build(&hello).ok();
        let environment = |change: &str| {
            machine.instantiate(&format!(
                "let o = builtins.storePath \"{output}\"; in derivation ({{ name = \"user-environment\"; system = \"builtin\"; \
                 builder = \"builtin:buildenv\"; manifest = builtins.toFile \"env-manifest.nix\" \"[ ]\"; \
                 derivations = \"true 5 1 {output}\"; preferLocalBuild = true; allowSubstitutes = false; }} // {{ {change} }})"
            ))
        };
        for change in [
            "extra = \"1\";",
            "name = \"other\";",
            "derivations = \"true 5 1 /tmp/x\";",
            "derivations = \"true 5\";",
            "manifest = builtins.toFile \"other\" \"[ ]\";",
            "manifest = o;",
            "args = [ \"x\" ];",
            "system = \"x86_64-linux\";",
        ] {
            machine.refuses(&environment(change), "form");
        }
        machine.build(&environment("")).code.unwrap();
        let judge = Judge::open(&machine.place, machine.store()).unwrap();
        judge.derivation(&store_path(&environment(""))).unwrap();
    });
}

#[test]
fn the_development_environment_of_what_is_approved_passes_and_no_other() {
    on_each(|machine| {
        let package = |more: &str| {
            format!(
                "let bash = derivation {{ name = \"bash\"; system = \"x86_64-linux\"; builder = \"/bin/sh\"; args = [ \"-c\" \
                 \"mkdir -p $out/bin; cp /bin/sh $out/bin/bash\" ]; }}; in derivation {{ name = \"pkg\"; system = \"x86_64-linux\"; \
                 builder = \"${{bash}}/bin/bash\"; args = [ \"-e\" \"x\" ]; outputs = [ \"out\" \"dev\" ]; allowedReferences = [ ]; \
                 {more} }}"
            )
        };
        let good = machine.instantiate(&package(""));
        machine.approve(&[&good]);
        let develop = |name: &str, text: &str| {
            let file = machine.write(name, text);
            machine.nix(&["nix", "develop", "-f", &file, "-c", "true"])
        };
        // The sandbox's bash is a busybox that has no applet of that name: the builder fails, after the hook let it pass.
        let passed = develop("good.nix", &package(""));
        assert!(passed.err.contains("applet not found"), "{passed:?}");
        assert_eq!(machine.refusals(), 0);
        for change in [
            "BASH_ENV = \"/tmp/x\";",
            "preHook = \"evil\";",
            "name = \"other\";",
            "outputs = [ \"out\" ];",
        ] {
            let evil = package("").replace("allowedReferences", &format!("{change} allowedReferences"));
            let evil = if change.starts_with("name") || change.starts_with("outputs") {
                package("").replacen(
                    if change.starts_with("name") {
                        "name = \"pkg\";"
                    } else {
                        "outputs = [ \"out\" \"dev\" ];"
                    },
                    change,
                    1,
                )
            } else {
                evil
            };
            develop("evil.nix", &evil).refused_by_hook();
            assert_eq!(machine.last_refusal().0, "not-approved", "{change}");
        }
        // The same with a script that is not Nix's.
        let script = machine.write("get-env.sh", "evil");
        let forged = package("").replace("args = [ \"-e\" \"x\" ];", &format!("args = [ {script} ];"));
        let forged = machine.instantiate(&forged.replace("allowedReferences = [ ];", "").replacen(
            "name = \"pkg\"",
            "name = \"pkg-env\"",
            1,
        ));
        machine.refuses(&forged, "develop-script");
        // A fixed output would have a network in its sandbox.
        let fixed = package("").replace("args = [ \"-e\" \"x\" ];", &format!("args = [ {script} ];"));
        let fixed = fixed
            .replace("outputs = [ \"out\" \"dev\" ];", "")
            .replace("allowedReferences = [ ];", &fixed_output());
        machine.refuses(
            &machine.instantiate(&fixed.replacen("name = \"pkg\"", "name = \"pkg-env\"", 1)),
            "form",
        );
    });
}

fn fixed_output() -> String {
    format!("outputHash = \"{}\"; outputHashAlgo = \"sha256\";", "0".repeat(64))
}

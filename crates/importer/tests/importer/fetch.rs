//! Fetching from an upstream that may be hostile, with the real git.

use std::{fs, os::unix::fs::PermissionsExt as _, thread};

use crate::common::{World, entry};
use importer::{FetchError, Fetched, Repository, UpstreamUrl};

const INTO: &str = "refs/touchstone/upstream/unstable";

/// A clone to fetch into, beside the upstream.
fn clone_of(world: &World) -> Repository {
    let path = world.beside("clone");
    world.git(&["init".as_ref(), "--quiet".as_ref(), "--bare".as_ref(), path.as_os_str()]);
    Repository::open(&path).unwrap()
}

fn upstream(world: &World) -> UpstreamUrl {
    world.work_tree().to_str().unwrap().parse().unwrap()
}

fn refs(world: &World) -> String {
    world.git_in(
        &world.beside("clone"),
        &["for-each-ref", "--format=%(refname) %(objectname)"],
        b"",
    )
}

#[test]
fn takes_one_branch_and_nothing_else() {
    let world = World::new();
    world.write("a", "a");
    let one = world.commit("one");
    world.git(&["tag", "v1"]);
    world.git(&["branch", "other"]);
    let clone = clone_of(&world);
    let fetched = clone.fetch_upstream(&upstream(&world), "main", INTO).unwrap();
    assert_eq!(fetched, Fetched { old: None, new: one });
    assert_eq!(refs(&world), format!("{INTO} {one}"));
    assert_eq!(clone.resolve(INTO).unwrap(), one);

    let two = world.commit("two");
    let url: UpstreamUrl = format!("file://{}", world.work_tree().display()).parse().unwrap();
    let fetched = clone.fetch_upstream(&url, "main", INTO).unwrap();
    assert_eq!(
        fetched,
        Fetched {
            old: Some(one),
            new: two
        }
    );
    let again = clone.fetch_upstream(&url, "main", INTO).unwrap();
    assert_eq!(
        again,
        Fetched {
            old: Some(two),
            new: two
        }
    );
    assert!(clone.is_on_branch(one, INTO).unwrap() && clone.is_on_branch(two, INTO).unwrap());
    let elsewhere = world.git(&["commit-tree", "-p", "HEAD", "-m", "elsewhere", "HEAD^{tree}"]);
    world.git(&["update-ref", "refs/heads/other", &elsewhere]);
    clone
        .fetch_upstream(&url, "other", "refs/touchstone/upstream/other")
        .unwrap();
    assert!(!clone.is_on_branch(clone.resolve(&elsewhere).unwrap(), INTO).unwrap());
}

#[test]
fn refuses_a_rewritten_upstream_and_names_both_tips() {
    let world = World::new();
    world.commit("one");
    let honest = world.commit("two");
    let clone = clone_of(&world);
    clone.fetch_upstream(&upstream(&world), "main", INTO).unwrap();
    let before = refs(&world);

    world.git(&["reset", "--quiet", "--hard", "HEAD^"]);
    let rewritten = world.commit("another two");
    let refused = clone.fetch_upstream(&upstream(&world), "main", INTO).unwrap_err();
    assert!(matches!(refused, FetchError::Rewritten { old, new, .. } if old == honest && new == rewritten));
    let message = refused.to_string();
    assert!(
        message.contains(&honest.to_string()) && message.contains(&rewritten.to_string()),
        "{message}"
    );
    assert_eq!(refs(&world), before);

    // Going back is rewriting, too.
    world.git(&["reset", "--quiet", "--hard", &format!("{honest}^")]);
    assert!(matches!(
        clone.fetch_upstream(&upstream(&world), "main", INTO),
        Err(FetchError::Rewritten { .. })
    ));
    world.git(&["reset", "--quiet", "--hard", &honest.to_string()]);
    clone.fetch_upstream(&upstream(&world), "main", INTO).unwrap();
}

#[test]
fn a_fetch_that_was_cut_off_is_no_obstacle() {
    let world = World::new();
    let one = world.commit("one");
    let clone = clone_of(&world);
    clone.fetch_upstream(&upstream(&world), "main", INTO).unwrap();
    // Killed between fetching and taking over, with a tip that upstream has withdrawn since.
    world.git(&["commit", "--quiet", "--allow-empty", "--message", "withdrawn"]);
    let incoming = "refs/touchstone/incoming/touchstone/upstream/unstable";
    world.git(&[
        "push",
        "--quiet",
        world.beside("clone").to_str().unwrap(),
        &format!("HEAD:{incoming}"),
    ]);
    world.git(&["reset", "--quiet", "--hard", "HEAD^"]);
    let two = world.commit("two");
    let fetched = clone.fetch_upstream(&upstream(&world), "main", INTO).unwrap();
    assert_eq!(
        fetched,
        Fetched {
            old: Some(one),
            new: two
        }
    );
    assert_eq!(refs(&world), format!("{INTO} {two}"));
}

#[test]
fn refuses_urls_that_would_run_something() {
    for bad in [
        "",
        "-uevil",
        "--upload-pack=evil",
        "ext::sh -c evil",
        "https://-oProxyCommand=evil/",
        "ssh://-oProxyCommand=evil/",
        "https://",
        "http://example.org/",
        "git://example.org/",
        "fd::17",
        "https://example.org/\n",
        "host:path",
        "path",
    ] {
        assert!(bad.parse::<UpstreamUrl>().is_err(), "{bad:?}");
    }
    for good in [
        "https://github.com/NixOS/nixpkgs",
        "ssh://git@example.org/n",
        "file:///srv/n",
        "/srv/n",
        "./n",
        "../n",
    ] {
        assert_eq!(good.parse::<UpstreamUrl>().unwrap().as_str(), good);
    }
}

#[test]
fn refuses_names_that_are_more_than_a_name() {
    let world = World::new();
    world.commit("one");
    let clone = clone_of(&world);
    for branch in [
        "",
        "main:refs/heads/x",
        "*",
        "a..b",
        "main\n",
        "a b",
        "/main",
        "main/",
        "x.lock",
        "@{u}",
        "^main",
    ] {
        let refused = clone.fetch_upstream(&upstream(&world), branch, INTO);
        assert!(
            matches!(refused, Err(FetchError::Name { .. })),
            "{branch:?}: {refused:?}"
        );
    }
    for into in [
        "",
        "HEAD",
        "main",
        "heads/main",
        "refs/",
        "refs/a:b",
        "refs/*",
        "../refs/x",
        "refs/../x",
    ] {
        let refused = clone.fetch_upstream(&upstream(&world), "main", into);
        assert!(matches!(refused, Err(FetchError::Name { .. })), "{into:?}: {refused:?}");
    }
    assert_eq!(refs(&world), "");
    clone.fetch_upstream(&upstream(&world), "main", INTO).unwrap();
}

#[test]
fn says_what_git_said() {
    let world = World::new();
    world.commit("one");
    let clone = clone_of(&world);
    let refused = clone.fetch_upstream(&upstream(&world), "nothing", INTO).unwrap_err();
    assert!(
        matches!(&refused, FetchError::Git { message, .. } if message.contains("nothing")),
        "{refused}"
    );
    let nowhere: UpstreamUrl = world.beside("nowhere").to_str().unwrap().parse().unwrap();
    let refused = clone.fetch_upstream(&nowhere, "main", INTO).unwrap_err();
    assert!(
        matches!(&refused, FetchError::Git { message, .. } if message.contains("nowhere")),
        "{refused}"
    );
    assert_eq!(refs(&world), "");
}

#[test]
fn runs_no_hook() {
    let world = World::new();
    world.commit("one");
    let clone = clone_of(&world);
    let trace = world.beside("trace");
    for hook in ["reference-transaction", "post-merge", "pre-auto-gc", "post-update"] {
        let path = world.beside("clone/hooks").join(hook);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("#!/bin/sh\necho {hook} >> {}\n", trace.display())).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    clone.fetch_upstream(&upstream(&world), "main", INTO).unwrap();
    assert!(!trace.exists());
    // The hook would have run.
    world.git_in(&world.beside("clone"), &["update-ref", "refs/heads/x", INTO], b"");
    assert!(trace.exists());
}

#[test]
fn a_url_that_configuration_redirects_to_a_command_runs_nothing() {
    let world = World::new();
    world.commit("one");
    let clone = clone_of(&world);
    let trace = world.beside("trace");
    let command = format!("url.ext::touch {} #.insteadOf", trace.display());
    world.git_in(
        &world.beside("clone"),
        &["config", &command, "https://example.org/"],
        b"",
    );
    world.git_in(&world.beside("clone"), &["config", "protocol.ext.allow", "always"], b"");
    let url: UpstreamUrl = "https://example.org/nixpkgs".parse().unwrap();
    let refused = clone.fetch_upstream(&url, "main", INTO).unwrap_err();
    assert!(
        matches!(&refused, FetchError::Git { message, .. } if message.contains("ext")),
        "{refused}"
    );
    assert!(!trace.exists());
}

#[test]
fn refuses_malformed_objects() {
    let world = World::new();
    world.commit("one");
    let clone = clone_of(&world);
    clone.fetch_upstream(&upstream(&world), "main", INTO).unwrap();
    let before = refs(&world);
    let hostile = world.raw_tree(&entry("100644", b".git", world.blob(b"")));
    let commit = world.git(&["commit-tree", "-p", "HEAD", "-m", "hostile", &hostile.to_string()]);
    world.git(&["update-ref", "refs/heads/main", &commit]);
    let refused = clone.fetch_upstream(&upstream(&world), "main", INTO).unwrap_err();
    assert!(
        matches!(&refused, FetchError::Git { message, .. } if message.contains("hasDotgit")),
        "{refused}"
    );
    assert_eq!(refs(&world), before);
}

#[test]
fn a_shallow_upstream_does_not_make_the_clone_shallow() {
    let world = World::new();
    world.commit("one");
    world.commit("two");
    let url = format!("file://{}", world.work_tree().display());
    let shallow = world.beside("shallow");
    world.git(&[
        "clone".as_ref(),
        "--quiet".as_ref(),
        "--depth=1".as_ref(),
        url.as_ref(),
        shallow.as_os_str(),
    ]);
    let clone = clone_of(&world);
    let refused = clone.fetch_upstream(&shallow.to_str().unwrap().parse().unwrap(), "main", INTO);
    assert!(refused.is_err());
    assert_eq!(refs(&world), "");
    Repository::open(&world.beside("clone")).unwrap();
}

#[test]
fn two_fetches_at_once_never_lose_the_ref() {
    let world = World::new();
    let one = world.commit("one");
    let clone = clone_of(&world);
    clone.fetch_upstream(&upstream(&world), "main", INTO).unwrap();
    let two = world.commit("two");
    let url = upstream(&world);
    let results = thread::scope(|scope| {
        let url = &url;
        let handles: Vec<_> = (0..2)
            .map(|_| {
                let clone = clone.clone();
                scope.spawn(move || clone.fetch_upstream(url, "main", INTO))
            })
            .collect();
        handles
            .into_iter()
            .map(|handle| handle.join().unwrap())
            .collect::<Vec<_>>()
    });
    for result in &results {
        match result {
            Ok(fetched) => assert_eq!(fetched.new, two),
            Err(error) => assert!(
                matches!(error, FetchError::Git { .. } | FetchError::Ref { .. }),
                "{error}"
            ),
        }
    }
    let tip = clone.resolve(INTO).unwrap();
    assert!(tip == one || tip == two);
    assert_eq!(clone.fetch_upstream(&url, "main", INTO).unwrap().new, two);
    assert_eq!(refs(&world), format!("{INTO} {two}"));
}

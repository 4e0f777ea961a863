//! The embedded upstream: a small package set in nixpkgs' shape with a short history, built by real git.
//!
//! `xtask/upstream/base` is the first commit's tree. Each folder of `xtask/upstream/history`, in the order of their
//! names, is one commit on top: `message`; `tree/`, whose files are added or replace those of the same path; and
//! `delete`, which lists paths to remove, one a line. Author, committer and dates are fixed, and no configuration of
//! the machine is read, so the commits have the same ids everywhere.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args as Arguments;

use crate::failure::{Failure, Result};
use crate::process::{Line, Terminal};
use crate::workspace;

/// The branch that channels follow.
pub(crate) const BRANCH: &str = "nixos-unstable";

/// 2026-01-05 12:00 UTC, the date of the first commit; each later one is an hour younger.
const FIRST_COMMIT: u64 = 1_767_614_400;
const BETWEEN_COMMITS: u64 = 3_600;

/// Build the embedded upstream as a git repository, with the same commit ids everywhere.
#[derive(Debug, Arguments)]
#[command(
    after_help = "Examples:\n  cargo xtask upstream /tmp/upstream --upto 3\n  cargo xtask upstream /tmp/upstream\n\n\
                        The second call goes on where the first stopped, as an upstream does. Prints a line for each \
                        commit: its id and the name of its folder."
)]
pub(crate) struct Args {
    /// Where the repository is, or is to be.
    directory: PathBuf,
    /// How many commits of the history to make on top of the first; all without it.
    #[arg(long)]
    upto: Option<usize>,
}

/// One commit of the embedded upstream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Commit {
    /// The folder that it was made from: `base`, or the name in `history`.
    pub(crate) name: String,
    /// Its id, 40 hex digits.
    pub(crate) id: String,
}

pub(crate) fn command(args: &Args, terminal: &Terminal) -> Result<()> {
    for Commit { name, id } in build(&args.directory, args.upto, terminal)? {
        println!("{id} {name}");
    }
    Ok(())
}

/// Makes the repository at `dest` have the base and the first `upto` commits of the history (all if `None`), and
/// returns them, oldest first. Commits that it has already stay; it never goes back.
pub(crate) fn build(dest: &Path, upto: Option<usize>, terminal: &Terminal) -> Result<Vec<Commit>> {
    build_from(&workspace::root().join("xtask/upstream"), dest, upto, terminal)
}

fn build_from(source: &Path, dest: &Path, upto: Option<usize>, terminal: &Terminal) -> Result<Vec<Commit>> {
    let steps = steps(source)?;
    let wanted = upto.map_or(steps.len(), |upto| steps.len().min(upto + 1));
    let repository = Repository::open(dest, terminal)?;
    let done = repository.commits()?.len();
    for (index, step) in steps.iter().enumerate().take(wanted).skip(done) {
        step.apply(dest)?;
        repository.commit(&step.message()?, FIRST_COMMIT + BETWEEN_COMMITS * index as u64)?;
    }
    let names = steps.into_iter().map(|step| step.name);
    Ok(names
        .zip(repository.commits()?)
        .map(|(name, id)| Commit { name, id })
        .collect())
}

/// What one commit is made from.
struct Step {
    name: String,
    /// Files to put into the tree.
    tree: PathBuf,
    /// The folder with `message` and `delete`; the base has none.
    folder: Option<PathBuf>,
}

/// The base and the folders of the history, in order.
fn steps(source: &Path) -> Result<Vec<Step>> {
    let base = Step {
        name: "base".into(),
        tree: source.join("base"),
        folder: None,
    };
    let mut steps = vec![base];
    for folder in entries(&source.join("history"))? {
        let name = file_name(&folder);
        steps.push(Step {
            name,
            tree: folder.join("tree"),
            folder: Some(folder),
        });
    }
    Ok(steps)
}

impl Step {
    fn message(&self) -> Result<String> {
        match &self.folder {
            None => Ok("Initial package set\n".into()),
            Some(folder) => read(&folder.join("message")),
        }
    }

    /// Changes the files below `dest` as this step says.
    fn apply(&self, dest: &Path) -> Result<()> {
        let list = self
            .folder
            .as_ref()
            .map(|folder| folder.join("delete"))
            .filter(|list| list.exists());
        let deleted = list.as_deref().map_or(Ok(String::new()), read)?;
        for path in deleted.lines().map(str::trim).filter(|path| !path.is_empty()) {
            let full = dest.join(path);
            let removed = if full.is_dir() {
                fs::remove_dir_all(&full)
            } else {
                fs::remove_file(&full)
            };
            removed.map_err(Failure::io(format_args!("delete {path} as {} says", self.name)))?;
        }
        if self.tree.is_dir() {
            copy(&self.tree, dest)
        } else {
            Ok(())
        }
    }
}

/// Copies what is below `from` over what is below `to`: files with their mode, links as links.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).map_err(Failure::io(format_args!("make {}", to.display())))?;
    for source in entries(from)? {
        let target = to.join(file_name(&source));
        let failed = || Failure::io(format!("copy {} to {}", source.display(), target.display()));
        let kind = fs::symlink_metadata(&source).map_err(failed())?.file_type();
        if kind.is_dir() {
            copy(&source, &target)?;
            continue;
        }
        // Unlinked first: writing through an old link, or keeping an old mode, would be wrong.
        if fs::symlink_metadata(&target).is_ok() {
            fs::remove_file(&target).map_err(failed())?;
        }
        if kind.is_symlink() {
            let leads_to = fs::read_link(&source).map_err(failed())?;
            std::os::unix::fs::symlink(leads_to, &target).map_err(failed())?;
        } else {
            fs::copy(&source, &target).map_err(failed())?;
        }
    }
    Ok(())
}

/// A git repository that sees no configuration but its own.
struct Repository<'a> {
    directory: &'a Path,
    terminal: &'a Terminal,
}

impl<'a> Repository<'a> {
    fn open(directory: &'a Path, terminal: &'a Terminal) -> Result<Self> {
        let repository = Self { directory, terminal };
        if !directory.join(".git").is_dir() {
            fs::create_dir_all(directory).map_err(Failure::io(format_args!("make {}", directory.display())))?;
            repository
                .git(&["init", "--quiet", "--object-format=sha1", "--template=", "-b", BRANCH])
                .text(terminal)?;
        }
        Ok(repository)
    }

    /// The ids of all commits, oldest first.
    fn commits(&self) -> Result<Vec<String>> {
        let text = self.git(&["rev-list", "--reverse", "--all"]).text(self.terminal)?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// Commits the files as they are, at `date` (seconds since 1970).
    fn commit(&self, message: &str, date: u64) -> Result<()> {
        self.git(&["add", "--all", "--force"]).text(self.terminal)?;
        let date = format!("{date} +0000");
        self.git(&["commit", "--quiet", "--allow-empty", "--no-verify", "-m", message])
            .env("GIT_AUTHOR_DATE", &date)
            .env("GIT_COMMITTER_DATE", &date)
            .text(self.terminal)
            .map(drop)
    }

    fn git(&self, args: &[&str]) -> Line {
        Line::new("git")
            .hermetic()
            .env("HOME", self.directory)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_AUTHOR_NAME", "Upstream")
            .env("GIT_AUTHOR_EMAIL", "upstream@example.org")
            .env("GIT_COMMITTER_NAME", "Upstream")
            .env("GIT_COMMITTER_EMAIL", "upstream@example.org")
            .args(args)
            .directory(self.directory)
    }
}

/// What is in a folder, sorted by name.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = || Failure::io(format!("list {}", folder.display()));
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed())? {
        found.push(entry.map_err(failed())?.path());
    }
    found.sort();
    Ok(found)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(Failure::io(format_args!("read {}", path.display())))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        /// A source with a base and two commits: one that changes, adds and makes executable, one that deletes.
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("xtask-upstream-{}-{name}", std::process::id()));
            let file = |path: &str, text: &str| {
                let path = folder.join("source").join(path);
                fs::create_dir_all(path.parent().expect("in a folder")).expect("a folder");
                fs::write(&path, text).expect("a file");
                path
            };
            file("base/lib/default.nix", "{ }\n");
            file("base/pkgs/old/default.nix", "1\n");
            file("history/01-bump/message", "hello: 1 -> 2\n");
            file("history/01-bump/tree/lib/default.nix", "{ a = 1; }\n");
            let script = file("history/01-bump/tree/run.sh", "#!/bin/sh\n");
            fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("a mode");
            file("history/02-remove/message", "old: remove\n");
            file("history/02-remove/delete", "pkgs/old\n");
            Self(folder)
        }

        fn build(&self, dest: &str, upto: Option<usize>) -> Vec<Commit> {
            let quiet = Terminal::from_environment(false);
            build_from(&self.0.join("source"), &self.0.join(dest), upto, &quiet).expect("a sound source")
        }

        fn git(&self, dest: &str, args: &[&str]) -> String {
            let line = Line::new("git").args(args).directory(self.0.join(dest));
            line.text(&Terminal::from_environment(false)).expect("git runs")
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    #[test]
    fn commits_have_the_same_ids_everywhere() {
        let folder = Folder::new("ids");
        let all = folder.build("one", None);
        assert_eq!(
            all.iter().map(|commit| commit.name.as_str()).collect::<Vec<_>>(),
            ["base", "01-bump", "02-remove"]
        );
        assert_eq!(all, folder.build("two", None));
        // Known, so that a change of git or of the machine's configuration would show.
        assert_eq!(all[2].id, "f58118ddf0574634fe030c2a73cdcd3f37893e42");
    }

    #[test]
    fn an_upstream_goes_on_where_it_stopped() {
        let folder = Folder::new("on");
        let all = folder.build("whole", None);
        assert_eq!(folder.build("grows", Some(0)), all[..1]);
        assert_eq!(folder.build("grows", Some(1)), all[..2]);
        assert_eq!(folder.build("grows", Some(0)), all[..2], "never back");
        assert_eq!(folder.build("grows", None), all);
        assert_eq!(folder.git("grows", &["rev-parse", BRANCH]).trim(), all[2].id);
    }

    #[test]
    fn a_step_changes_adds_and_deletes() {
        let folder = Folder::new("step");
        folder.build("repo", None);
        let tree = folder.git("repo", &["ls-tree", "-r", BRANCH]);
        let files: Vec<_> = tree
            .lines()
            .map(|line| (line.split(' ').next(), line.split('\t').nth(1)))
            .collect();
        assert_eq!(
            files,
            [
                (Some("100644"), Some("lib/default.nix")),
                (Some("100755"), Some("run.sh"))
            ]
        );
        assert_eq!(
            folder.git("repo", &["show", &format!("{BRANCH}:lib/default.nix")]),
            "{ a = 1; }\n"
        );
    }

    #[test]
    fn refuses_to_delete_what_is_not_there() {
        let folder = Folder::new("delete");
        fs::write(folder.0.join("source/history/02-remove/delete"), "pkgs/gone\n").expect("a file");
        let outcome = build_from(
            &folder.0.join("source"),
            &folder.0.join("repo"),
            None,
            &Terminal::from_environment(false),
        );
        assert!(
            outcome
                .expect_err("no such path")
                .to_string()
                .contains("pkgs/gone as 02-remove says")
        );
    }
}

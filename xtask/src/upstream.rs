//! The embedded upstream: a small package set in nixpkgs' shape with a short history, built by real git.
//!
//! `xtask/upstream/README.md` has the layout. Author, committer and dates are fixed, and no configuration of the
//! machine is read, so the commits have the same ids everywhere.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args as Arguments;

use crate::failure::{Failure, Result};
use crate::process::{Line, Terminal};
use crate::workspace;

mod plan;

pub(crate) use plan::{Plan, Range, Verdict};

/// Build the embedded upstream as a git repository, with the same commit ids everywhere.
#[derive(Debug, Arguments)]
#[command(
    after_help = "Examples:\n  cargo xtask upstream /tmp/upstream.git --upto 11-hello-2.12.2\n  \
                        cargo xtask upstream /tmp/upstream.git\n\n\
                        The repository is bare; the second call goes on where the first stopped, as an upstream does. \
                        Prints a line for each commit: its id and the name of its folder."
)]
pub(crate) struct Args {
    /// Where the repository is, or is to be.
    directory: PathBuf,
    /// The commit, by its folder in `history`, that the branch is to reach; the last one without it.
    #[arg(long, value_name = "FOLDER")]
    upto: Option<String>,
}

/// One commit of the embedded upstream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Commit {
    /// The name of its folder in `history`.
    pub(crate) name: String,
    /// Its id, 40 hex digits.
    pub(crate) id: String,
}

pub(crate) fn command(args: &Args, terminal: &Terminal) -> Result<()> {
    for Commit { name, id } in build(&args.directory, args.upto.as_deref(), terminal)? {
        println!("{id} {name}");
    }
    Ok(())
}

/// Makes the bare repository at `dest` have the history up to the folder `upto` (all of it if `None`), and returns
/// its commits, parents first. Its branch never goes back.
pub(crate) fn build(dest: &Path, upto: Option<&str>, terminal: &Terminal) -> Result<Vec<Commit>> {
    build_from(&source(), &Plan::read()?.branch, dest, upto, terminal)
}

fn source() -> PathBuf {
    workspace::root().join("xtask/upstream")
}

fn build_from(
    source: &Path,
    branch: &str,
    dest: &Path,
    upto: Option<&str>,
    terminal: &Terminal,
) -> Result<Vec<Commit>> {
    let repository = Repository::open(dest, branch, terminal)?;
    let mut ids = BTreeMap::new();
    let mut commits: Vec<Commit> = Vec::new();
    for folder in entries(&source.join("history"))? {
        let step = Step { source, folder };
        let name = step.name();
        let parents = step.parents(commits.last(), &ids)?;
        let tree = repository.tree(&step, &parents)?;
        let id = repository.commit(&step, &tree, &parents)?;
        ids.insert(name.clone(), id.clone());
        let last = upto == Some(&name);
        commits.push(Commit { name, id });
        if last {
            break;
        }
    }
    match (upto, commits.last()) {
        (Some(upto), Some(last)) if last.name != upto => Err(Failure::usage(format!(
            "the history has no folder {upto}; its last one is {}",
            last.name
        ))),
        (_, Some(last)) => repository.advance(branch, &last.id).map(|()| commits),
        (_, None) => Err(Failure::environment(format!("{} has no history", source.display()))),
    }
}

/// What one commit is made from.
struct Step<'a> {
    source: &'a Path,
    folder: PathBuf,
}

impl Step<'_> {
    fn name(&self) -> String {
        self.folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    }

    /// The lines of one of its files; `None` where there is no such file.
    fn lines(&self, file: &str) -> Result<Option<Vec<String>>> {
        let path = self.folder.join(file);
        if !path.exists() {
            return Ok(None);
        }
        let text = read(&path)?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        Ok(Some(lines.map(str::to_owned).collect()))
    }

    /// The ids of its parents: those it names, or the commit before it.
    fn parents(&self, before: Option<&Commit>, ids: &BTreeMap<String, String>) -> Result<Vec<String>> {
        let Some(names) = self.lines("parents")? else {
            return Ok(before.map(|commit| commit.id.clone()).into_iter().collect());
        };
        let id = |name: &String| {
            ids.get(name).cloned().ok_or_else(|| {
                Failure::environment(format!(
                    "{} names {name} as parent, which is not before it",
                    self.name()
                ))
            })
        };
        names.iter().map(id).collect()
    }

    /// The name and the address of its author.
    fn author(&self) -> Result<(String, String)> {
        let line = read(&self.folder.join("author"))?;
        let parts = line.trim().strip_suffix('>').and_then(|line| line.split_once(" <"));
        parts
            .map(|(name, address)| (name.to_owned(), address.to_owned()))
            .ok_or_else(|| Failure::environment(format!("the author of {} is not `Name <address>`", self.name())))
    }
}

/// A bare git repository that sees no configuration but its own.
struct Repository<'a> {
    directory: PathBuf,
    terminal: &'a Terminal,
}

impl<'a> Repository<'a> {
    fn open(directory: &Path, branch: &str, terminal: &'a Terminal) -> Result<Self> {
        let failed = || Failure::io(format!("make {}", directory.display()));
        fs::create_dir_all(directory).map_err(failed())?;
        let directory = directory.canonicalize().map_err(failed())?;
        let repository = Self { directory, terminal };
        if !repository.directory.join("HEAD").is_file() {
            let init = ["init", "--quiet", "--bare", "--object-format=sha1", "--template=", "-b"];
            repository.git().args(init).arg(branch).text(terminal)?;
        }
        Ok(repository)
    }

    /// The tree of a commit: the base if it has no parent, its parent's with the step's changes, or a clean merge.
    fn tree(&self, step: &Step<'_>, parents: &[String]) -> Result<String> {
        if let [first, second] = parents {
            let merge = self.git().args(["merge-tree", "--write-tree", first, second]);
            return merge.text(self.terminal).map(|text| text.trim().to_owned());
        }
        let start = match parents {
            [] => self.git().args(["read-tree", "--empty"]),
            _ => self.git().arg("read-tree").args(parents),
        };
        start.text(self.terminal)?;
        let base = step.source.join("base");
        for files in [parents.is_empty().then_some(base), Some(step.folder.join("tree"))] {
            if let Some(files) = files.filter(|files| files.is_dir()) {
                let add = ["add", "--force", "--ignore-removal", "."];
                self.git_on(&files).args(add).text(self.terminal)?;
            }
        }
        for path in step.lines("delete")?.unwrap_or_default() {
            let remove = ["rm", "-r", "--cached", "--quiet", "--force", "--", &path];
            self.git_on(&step.folder)
                .args(remove)
                .text(self.terminal)
                .map_err(|failure| {
                    Failure::environment(format!("failed to delete {path} as {} says: {failure}", step.name()))
                })?;
        }
        let tree = self.git().arg("write-tree").text(self.terminal)?;
        Ok(tree.trim().to_owned())
    }

    fn commit(&self, step: &Step<'_>, tree: &str, parents: &[String]) -> Result<String> {
        let (name, address) = step.author()?;
        let date = read(&step.folder.join("date"))?.trim().to_owned();
        let mut line = self.git();
        for role in ["AUTHOR", "COMMITTER"] {
            line = line
                .env(format!("GIT_{role}_NAME"), &name)
                .env(format!("GIT_{role}_EMAIL"), &address)
                .env(format!("GIT_{role}_DATE"), &date);
        }
        let parents = parents.iter().flat_map(|parent| ["-p", parent]);
        let line = line.args(["commit-tree", tree]).args(parents).arg("-F");
        let id = line.arg(step.folder.join("message")).text(self.terminal)?;
        Ok(id.trim().to_owned())
    }

    /// Moves the branch to a commit, unless it has that one already.
    fn advance(&self, branch: &str, id: &str) -> Result<()> {
        let name = format!("refs/heads/{branch}");
        let has = ["merge-base", "--is-ancestor", id, &name];
        if self.git().args(has).outcome(self.terminal)?.status.success() {
            return Ok(());
        }
        let update = ["update-ref", &name, id];
        self.git().args(update).text(self.terminal).map(drop)
    }

    /// git on this repository.
    fn git(&self) -> Line {
        Line::new("git")
            .hermetic()
            .env("HOME", &self.directory)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_DIR", &self.directory)
            .env("GIT_INDEX_FILE", self.directory.join("build.index"))
            .directory(&self.directory)
    }

    /// git on this repository, with the files of `work_tree`.
    fn git_on(&self, work_tree: &Path) -> Line {
        self.git().env("GIT_WORK_TREE", work_tree).directory(work_tree)
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

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(Failure::io(format_args!("read {}", path.display())))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const QUIET: Terminal = Terminal::QUIET;

    struct Folder(PathBuf);

    impl Folder {
        /// A source with four commits: a base, one on each of two branches, and their merge.
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
            for (slug, hour) in [("00-begin", 1), ("01-bump", 2), ("02-remove", 3), ("03-merge", 4)] {
                file(&format!("history/{slug}/message"), &format!("{slug}\n"));
                file(&format!("history/{slug}/author"), "Mia Muster <mia@example.org>\n");
                file(&format!("history/{slug}/date"), &format!("2026-01-05T0{hour}:00:00Z\n"));
            }
            file("history/01-bump/tree/lib/default.nix", "{ a = 1; }\n");
            let script = file("history/01-bump/tree/run.sh", "#!/bin/sh\n");
            fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("a mode");
            file("history/02-remove/parents", "00-begin\n");
            file("history/02-remove/delete", "pkgs/old\n");
            file("history/03-merge/parents", "01-bump\n02-remove\n");
            Self(folder)
        }

        fn build(&self, dest: &str, upto: Option<&str>) -> Result<Vec<Commit>> {
            build_from(&self.0.join("source"), "main", &self.0.join(dest), upto, &QUIET)
        }

        fn git(&self, dest: &str, args: &[&str]) -> String {
            let line = Line::new("git").args(args).directory(self.0.join(dest));
            line.text(&QUIET).expect("git runs")
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
        let all = folder.build("one", None).expect("a sound source");
        assert_eq!(
            all.iter().map(|commit| commit.name.as_str()).collect::<Vec<_>>(),
            ["00-begin", "01-bump", "02-remove", "03-merge"]
        );
        assert_eq!(all, folder.build("two", None).expect("a sound source"));
        // Known, so that a change of git or of the machine's configuration would show.
        assert_eq!(all[3].id, "0efe95b49d0846c692ab2163747f2d8b4f4433e5");
    }

    #[test]
    fn an_upstream_goes_on_where_it_stopped() {
        let folder = Folder::new("on");
        let all = folder.build("whole", None).expect("a sound source");
        let tip = || folder.git("grows", &["rev-parse", "main"]).trim().to_owned();
        assert_eq!(folder.build("grows", Some("01-bump")).expect("sound"), all[..2]);
        assert_eq!(tip(), all[1].id);
        assert_eq!(folder.build("grows", None).expect("sound"), all);
        assert_eq!(tip(), all[3].id);
        folder.build("grows", Some("00-begin")).expect("sound");
        assert_eq!(tip(), all[3].id, "never back");
    }

    #[test]
    fn a_step_changes_adds_and_deletes_and_a_merge_has_both_sides() {
        let folder = Folder::new("step");
        folder.build("repo", None).expect("a sound source");
        let tree = folder.git("repo", &["ls-tree", "-r", "main"]);
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
        assert_eq!(folder.git("repo", &["show", "main:lib/default.nix"]), "{ a = 1; }\n");
        assert_eq!(
            folder.git("repo", &["log", "-1", "--format=%an %ae %cd", "--date=unix", "main"]),
            "Mia Muster mia@example.org 1767585600\n"
        );
    }

    #[test]
    fn refuses_to_delete_what_is_not_there() {
        let folder = Folder::new("delete");
        fs::write(folder.0.join("source/history/02-remove/delete"), "pkgs/gone\n").expect("a file");
        let failure = folder.build("repo", None).expect_err("no such path").to_string();
        assert!(failure.contains("pkgs/gone as 02-remove says"), "{failure}");
    }

    #[test]
    fn refuses_to_stop_at_what_is_not_there() {
        let folder = Folder::new("stop");
        let failure = folder.build("repo", Some("04-more")).expect_err("no such folder");
        assert!(failure.to_string().contains("no folder 04-more"), "{failure}");
    }
}

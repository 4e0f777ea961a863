//! Where sources come from: a host, and whose place on it.
//!
//! A host that anybody may publish on (a forge, a registry, a mirror network of many projects) says nothing by itself;
//! there the owner and the project are part of the origin. Well-known names of one place are one origin: `mirror://`,
//! the mirrors behind it, a forge's fetcher and its tarballs.

use std::fmt;

/// Where a source comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// The host, lower case, or a network of mirrors as `mirror://gnu`.
    pub site: String,
    /// Whose place on it: `owner/repo` on a forge, a project on a mirror network; empty where the host is one party's.
    pub project: String,
}

/// A URL as far as this needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Url<'a> {
    pub(crate) scheme: &'a str,
    pub(crate) host: &'a str,
    /// Without the first slash.
    pub(crate) path: &'a str,
}

impl<'a> Url<'a> {
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        (!scheme.is_empty() && !host.is_empty()).then_some(Self {
            scheme,
            host,
            path: path.strip_prefix('/').unwrap_or(path),
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.site)?;
        if self.project.is_empty() {
            return Ok(());
        }
        write!(f, "/{}", self.project)
    }
}

/// Hosts of mirror networks: host, the beginning of the path, and the name of the network.
const MIRRORS: &[(&str, &str, &str)] = &[
    ("ftp.gnu.org", "pub/gnu/", "gnu"),
    ("ftp.gnu.org", "gnu/", "gnu"),
    ("ftp.gnu.org", "old-gnu/", "gnu"),
    ("ftpmirror.gnu.org", "", "gnu"),
    ("alpha.gnu.org", "gnu/", "gnu-alpha"),
    ("download.savannah.gnu.org", "releases/", "savannah"),
    ("download.savannah.nongnu.org", "releases/", "savannah"),
    ("savannah.nongnu.org", "download/", "savannah"),
    ("downloads.sourceforge.net", "project/", "sourceforge"),
    ("downloads.sourceforge.net", "sourceforge/", "sourceforge"),
    ("downloads.sourceforge.net", "", "sourceforge"),
    ("download.sourceforge.net", "", "sourceforge"),
    ("prdownloads.sourceforge.net", "", "sourceforge"),
    ("sourceforge.net", "projects/", "sourceforge"),
    ("pypi.python.org", "packages/", "pypi"),
    ("files.pythonhosted.org", "packages/", "pypi"),
    ("pypi.io", "packages/", "pypi"),
    ("pypi.org", "packages/", "pypi"),
    ("hackage.haskell.org", "package/", "hackage"),
    ("hackage.haskell.org", "packages/archive/", "hackage"),
    ("www.cpan.org", "", "cpan"),
    ("cpan.metacpan.org", "", "cpan"),
    ("search.cpan.org", "CPAN/", "cpan"),
    ("www.kernel.org", "pub/", "kernel"),
    ("kernel.org", "pub/", "kernel"),
    ("cdn.kernel.org", "pub/", "kernel"),
    ("ftp.kernel.org", "pub/", "kernel"),
    ("ftp.gnome.org", "pub/GNOME/", "gnome"),
    ("ftp.acc.umu.se", "pub/GNOME/", "gnome"),
    ("download.gnome.org", "", "gnome"),
    ("download.kde.org", "", "kde"),
    ("archive.apache.org", "dist/", "apache"),
    ("www.apache.org", "dist/", "apache"),
    ("downloads.apache.org", "", "apache"),
    ("ftp.debian.org", "debian/", "debian"),
    ("http.debian.net", "debian/", "debian"),
    ("archive.ubuntu.com", "ubuntu/", "ubuntu"),
    ("xorg.freedesktop.org", "releases/", "xorg"),
    ("www.x.org", "releases/", "xorg"),
    ("rubygems.org", "", "rubygems"),
    ("registry.npmjs.org", "", "npm"),
    ("static.crates.io", "crates/", "crates.io"),
    ("crates.io", "api/v1/crates/", "crates.io"),
    ("launchpad.net", "", "launchpad"),
    ("storage.googleapis.com", "", "storage.googleapis.com"),
    ("s3.amazonaws.com", "", "s3.amazonaws.com"),
];

/// Forges whose URLs begin with owner and repository.
const FORGES: [&str; 12] = [
    "github.com",
    "gitlab.com",
    "bitbucket.org",
    "codeberg.org",
    "gitorious.org",
    "git.sr.ht",
    "hg.sr.ht",
    "gitlab.freedesktop.org",
    "gitlab.gnome.org",
    "salsa.debian.org",
    "invent.kde.org",
    "gitee.com",
];

impl Origin {
    /// The origin of what lies at a URL.
    pub fn of_url(text: &str) -> Option<Self> {
        let url = Url::parse(text)?;
        let host = url.host.to_ascii_lowercase();
        let host = host
            .strip_suffix(":443")
            .or_else(|| host.strip_suffix(":80"))
            .unwrap_or(&host);
        if url.scheme == "mirror" {
            return Some(Self::mirror(host, url.path));
        }
        let host = host
            .strip_suffix(".dl.sourceforge.net")
            .map_or(host, |_| "downloads.sourceforge.net");
        if let Some(place) = forge_place(host, url.path) {
            return Some(place);
        }
        for (of, prefix, mirror) in MIRRORS {
            if *of == host
                && let Some(path) = url.path.strip_prefix(prefix)
            {
                return Some(Self::mirror(mirror, path));
            }
        }
        let host = host.strip_prefix("www.").unwrap_or(host);
        // `~somebody` on a host of many.
        let home = url.path.split('/').find(|part| part.starts_with('~'));
        Some(Self {
            site: host.to_owned(),
            project: home.unwrap_or("").to_owned(),
        })
    }

    /// The origin of a repository on a forge.
    pub(crate) fn of_forge(host: &str, owner: &str, repo: &str) -> Self {
        let host = host.strip_prefix("https://").unwrap_or(host);
        let repo = repo.strip_suffix(".git").unwrap_or(repo);
        Self {
            site: host.to_ascii_lowercase(),
            project: format!("{}/{}", owner.trim_start_matches('~'), repo).to_ascii_lowercase(),
        }
    }

    pub(crate) fn registry(name: &str, package: &str) -> Self {
        Self {
            site: format!("mirror://{name}"),
            project: package.to_ascii_lowercase().replace(['_', '.'], "-"),
        }
    }

    fn mirror(name: &str, path: &str) -> Self {
        let name = match name {
            "roy" | "sourceforge.net" => "sourceforge",
            "gnu" => "gnu",
            other => other,
        };
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let file = parts.last().copied().unwrap_or("");
        let project = match name {
            "sourceforge" => match parts.as_slice() {
                ["project" | "sourceforge", project, ..] | [project, _, ..] => project,
                _ => stem(file),
            },
            "pypi" => match parts.as_slice() {
                ["source", _, project, ..] | [_, project, _] if project.len() > 1 => project,
                _ => stem(file),
            },
            "cpan" => match parts.iter().position(|part| *part == "id") {
                // authors/id/A/AB/ABC/…
                Some(at) => parts.get(at + 3).copied().unwrap_or(""),
                None => "",
            },
            "npm" => match parts.as_slice() {
                [scope, ..] if scope.starts_with('@') => scope,
                [package, ..] => package,
                [] => "",
            },
            "rubygems" | "hackage" if parts.len() < 3 => stem(file),
            "gnu"
            | "gnu-alpha"
            | "savannah"
            | "hackage"
            | "crates.io"
            | "launchpad"
            | "storage.googleapis.com"
            | "s3.amazonaws.com"
            | "apache" => match parts.as_slice() {
                [package, _, ..] => package,
                _ => stem(file),
            },
            // Networks of one party.
            _ => "",
        };
        if matches!(name, "pypi" | "rubygems" | "hackage" | "crates.io") {
            let unversioned = if name == "hackage" || name == "crates.io" {
                stem(project)
            } else {
                project
            };
            return Self::registry(name, unversioned);
        }
        Self {
            site: format!("mirror://{name}"),
            project: project.to_ascii_lowercase(),
        }
    }
}

/// The name of a file without its version and what follows: `hello-1.0.tar.gz` is `hello`.
fn stem(file: &str) -> &str {
    let version = file
        .match_indices(['-', '_'])
        .find(|(at, _)| file[at + 1..].starts_with(|first: char| first.is_ascii_digit() || first == 'v'));
    version.map_or(file, |(at, _)| &file[..at])
}

fn forge_place(host: &str, path: &str) -> Option<Origin> {
    let (host, path) = match host {
        "codeload.github.com"
        | "raw.github.com"
        | "raw.githubusercontent.com"
        | "www.github.com"
        | "cloud.github.com" => ("github.com", path.strip_prefix("downloads/").unwrap_or(path)),
        "api.github.com" => ("github.com", path.strip_prefix("repos/")?),
        host => (host, path),
    };
    if let Some(owner) = host
        .strip_suffix(".github.com")
        .or_else(|| host.strip_suffix(".github.io"))
    {
        let repo = path.split('/').next().unwrap_or("");
        return Some(Origin::of_forge("github.com", owner, repo));
    }
    let known = FORGES.contains(&host)
        || host.starts_with("gitlab.")
        || host.starts_with("git.") && host.matches('.').count() == 1;
    if !known {
        return None;
    }
    // A project of GitLab may lie in groups; what follows `/-/` is not its name.
    let path = path.split_once("/-/").map_or(path, |(project, _)| project);
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    let (owner, repo) = (parts.next()?, parts.next()?);
    Some(Origin::of_forge(host, owner, repo))
}

/// What kind of thing a URL names: a snapshot of a repository that a forge makes by itself, or a file that somebody
/// put there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Nature {
    /// What is in the repository, at a revision.
    Snapshot,
    /// A file that somebody uploaded.
    Upload,
}

/// Whether the file at a URL is made by a forge from the repository.
pub(crate) fn nature(url: &str) -> Nature {
    let snapshot = Url::parse(url).is_some_and(|url| {
        let forge = forge_place(&url.host.to_ascii_lowercase(), url.path).is_some();
        url.host == "codeload.github.com"
            || forge
                && [
                    "/archive/",
                    "/-/archive/",
                    "/tarball/",
                    "/zipball/",
                    "/get/",
                    "/repository/archive",
                    "/archive-tarball/",
                ]
                .iter()
                .any(|part| url.path.contains(part))
    });
    if snapshot { Nature::Snapshot } else { Nature::Upload }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(url: &str) -> String {
        Origin::of_url(url).map_or_else(|| "none".to_owned(), |origin| origin.to_string())
    }

    #[test]
    fn well_known_names_of_one_place_are_one_origin() {
        for (left, right) in [
            (
                "mirror://gnu/hello/hello-1.0.tar.gz",
                "https://ftp.gnu.org/gnu/hello/hello-1.1.tar.gz",
            ),
            (
                "mirror://gnu/hello/hello-1.0.tar.gz",
                "ftp://ftpmirror.gnu.org/hello/hello-1.0.tar.gz",
            ),
            (
                "mirror://sourceforge/foo/foo-1.tar.gz",
                "http://prdownloads.sourceforge.net/foo/foo-2.tar.gz",
            ),
            (
                "mirror://sourceforge/project/foo/a/foo-1.tgz",
                "https://garr.dl.sourceforge.net/project/foo/foo-1.tgz",
            ),
            ("https://github.com/a/b/archive/v1.tar.gz", "git://github.com/A/b.git"),
            (
                "https://github.com/a/b/releases/download/v1/b-1.tgz",
                "https://codeload.github.com/a/b/tar.gz/v1",
            ),
            (
                "https://pypi.python.org/packages/source/f/foo/foo-1.tar.gz",
                "mirror://pypi/f/foo/foo-1.tar.gz",
            ),
            ("http://www.example.org/a", "https://example.org/b"),
            ("mirror://kernel/linux/x.tar", "https://cdn.kernel.org/pub/linux/y.tar"),
        ] {
            assert_eq!(origin(left), origin(right));
        }
    }

    #[test]
    fn another_owner_on_one_host_is_another_origin() {
        for (left, right) in [
            (
                "https://github.com/a/b/archive/v1.tar.gz",
                "https://github.com/evil/b/archive/v1.tar.gz",
            ),
            (
                "mirror://sourceforge/foo/foo-1.tar.gz",
                "mirror://sourceforge/fooo/foo-1.tar.gz",
            ),
            ("mirror://gnu/hello/hello-1.tgz", "mirror://gnu/hallo/hello-1.tgz"),
            (
                "mirror://cpan/authors/id/A/AB/ABC/x-1.tgz",
                "mirror://cpan/authors/id/E/EV/EVIL/x-1.tgz",
            ),
            ("https://example.org/~a/x", "https://example.org/~b/x"),
            ("https://example.org@evil.org/x", "https://example.org/x"),
            (
                "https://gitlab.com/a/b/-/archive/1/b.tgz",
                "https://gitlab.com/a/c/-/archive/1/b.tgz",
            ),
            ("https://a.github.io/x/1.tgz", "https://b.github.io/x/1.tgz"),
        ] {
            assert_ne!(origin(left), origin(right));
        }
    }

    #[test]
    fn a_release_file_is_no_snapshot() {
        assert_eq!(nature("https://github.com/a/b/archive/v1.tar.gz"), Nature::Snapshot);
        assert_eq!(
            nature("https://github.com/a/b/releases/download/v1/b-1.tar.gz"),
            Nature::Upload
        );
        assert_eq!(nature("https://evil.org/archive/b-1.tar.gz"), Nature::Upload);
    }
}

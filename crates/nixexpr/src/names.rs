//! What nixpkgs calls things: builders, fetchers, phases.

/// Whether a function of this name makes a derivation of a set that it gets, or of a function of its own result.
pub(crate) fn is_builder(name: &str) -> bool {
    if matches!(name, "mkDerivation" | "mkDerivationWith" | "buildEnv" | "derivation") {
        return true;
    }
    let Some(rest) = name.strip_prefix("build").or_else(|| name.strip_prefix("mk")) else {
        return false;
    };
    // `mkRemovedOptionModule` and its like make no package.
    if rest.contains("Option") {
        return false;
    }
    [
        "Package",
        "Application",
        "Module",
        "Extension",
        "Plugin",
        "Gem",
        "Derivation",
        "Crate",
        "Bin",
        "Firmware",
        "Kernel",
        "Dependency",
    ]
    .iter()
    .any(|kind| {
        rest.find(kind).is_some_and(|at| {
            let after = &rest[at + kind.len()..];
            after.is_empty() || after.starts_with(|c: char| c.is_ascii_digit() || c.is_ascii_uppercase())
        })
    })
}

/// Whether the result of calling `function` with a set has that set's attribute `name`.
pub(crate) fn passes(function: &str, name: &str) -> bool {
    if fetcher(function).is_some() {
        return matches!(name, "url" | "urls" | "rev" | "tag" | "owner" | "repo" | "domain");
    }
    is_builder(function) && matches!(name, "pname" | "version" | "name" | "src" | "meta" | "passthru")
}

/// What a fetcher names what it fetches by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fetcher {
    /// `url` or `urls`: one file, perhaps unpacked.
    Url,
    /// `owner` and `repo` at a host, which the attribute may replace.
    Forge {
        host: &'static str,
        host_attribute: &'static str,
    },
    /// `url` and a revision, with git.
    Git,
    /// Likewise with another program.
    Versioned,
    /// A registry where packages have names and versions.
    Registry(&'static str),
    /// What a lock file in the source names.
    Vendor,
}

/// What is fetched by a function of this name.
pub(crate) fn fetcher(name: &str) -> Option<Fetcher> {
    let forge = |host, host_attribute| Some(Fetcher::Forge { host, host_attribute });
    // Nearly all names are none: look at how they begin first.
    if !(name.starts_with("fetch") || name == "requireFile" || name == "importCargoLock") {
        return None;
    }
    match name {
        "fetchurl" | "fetchurlBoot" | "fetchUrl" | "fetchzip" | "fetchTarball" | "fetchpatch" | "fetchpatch2"
        | "fetchurlWithAuth" | "fetchMirror" | "fetchTree" | "fetchipfs" | "fetchtorrent" | "fetchMavenArtifact"
        | "fetchNuGet" | "requireFile" | "fetchFirefoxAddon" | "fetchDebianPatch" | "fetchnupkg" => Some(Fetcher::Url),
        "fetchFromGitHub" => forge("github.com", "githubBase"),
        "fetchFromGitLab" => forge("gitlab.com", "domain"),
        "fetchFromBitbucket" => forge("bitbucket.org", "domain"),
        "fetchFromSourcehut" => forge("git.sr.ht", "domain"),
        "fetchFromGitea" | "fetchFromForgejo" => forge("", "domain"),
        "fetchFromCodeberg" => forge("codeberg.org", "domain"),
        "fetchFromRadicle" => forge("", "seed"),
        "fetchFromSavannah" => forge("git.savannah.gnu.org", "domain"),
        "fetchFromRepoOrCz" => forge("repo.or.cz", "domain"),
        "fetchgit" | "fetchGit" | "fetchgitPrivate" | "fetchgitLocal" | "fetchFromGitiles" | "fetchgx" => {
            Some(Fetcher::Git)
        }
        "fetchsvn" | "fetchsvnssh" | "fetchhg" | "fetchMercurial" | "fetchbzr" | "fetchcvs" | "fetchdarcs"
        | "fetchmtn" | "fetchfossil" | "fetchpijul" => Some(Fetcher::Versioned),
        "fetchPypi" | "fetchPypiLegacy" => Some(Fetcher::Registry("pypi")),
        "fetchCrate" => Some(Fetcher::Registry("crates.io")),
        "fetchHex" => Some(Fetcher::Registry("hex")),
        "fetchRubyGem" => Some(Fetcher::Registry("rubygems")),
        "fetchCargoVendor" | "fetchCargoTarball" | "fetchNpmDeps" | "fetchYarnDeps" | "fetchPnpmDeps"
        | "fetchMixDeps" | "fetchDeps" | "importCargoLock" => Some(Fetcher::Vendor),
        _ => None,
    }
}

/// Attributes that hold the hash of what a builder fetches by a lock file in the source.
pub(crate) fn is_vendor_hash(attribute: &str) -> bool {
    matches!(
        attribute,
        "cargoHash"
            | "cargoSha256"
            | "vendorHash"
            | "vendorSha256"
            | "npmDepsHash"
            | "yarnHash"
            | "pnpmDepsHash"
            | "mvnHash"
            | "mixHash"
            | "goModulesHash"
            | "modSha256"
            | "depsHash"
            | "offlineCacheHash"
            | "depsSha256"
            | "nugetHash"
            | "composerHash"
            | "mvnSha256"
    )
}

/// Attributes that hold the hash of the source itself.
pub(crate) fn is_hash(attribute: &str) -> bool {
    matches!(
        attribute,
        "hash" | "sha256" | "sha512" | "sha1" | "md5" | "outputHash" | "sha384"
    )
}

/// Attributes whose value is run by a shell while a package is built.
pub(crate) fn is_phase(attribute: &str) -> bool {
    let hook = || {
        let rest = attribute.strip_prefix("pre").or_else(|| attribute.strip_prefix("post"));
        rest.is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_uppercase()))
    };
    match attribute {
        "buildCommand"
        | "installCommand"
        | "builderScript"
        | "shellHook"
        | "setupHook"
        | "extraInstallCommands"
        | "extraBuildCommands"
        | "unpackCmd"
        | "buildCommandPath" => true,
        "postFetch" => false,
        _ => attribute.ends_with("Phase") && attribute.len() > 5 || (hook() && is_hook(attribute)),
    }
}

/// `preBuild` is a hook, `prefix` and `postgresql` are not, `preferLocalBuild` is none either.
fn is_hook(attribute: &str) -> bool {
    const PHASES: [&str; 17] = [
        "Unpack",
        "Patch",
        "Configure",
        "Build",
        "Check",
        "Install",
        "Fixup",
        "InstallCheck",
        "Dist",
        "AutoreconfHook",
        "Hook",
        "Gems",
        "Shell",
        "VM",
        "Phases",
        "Conf",
        "Autoreconf",
    ];
    PHASES.iter().any(|phase| attribute.ends_with(phase)) && !attribute.contains("Local")
}

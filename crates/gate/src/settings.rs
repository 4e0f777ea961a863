//! What the owner of the machine decided, in `settings.json`. A file that is not understood allows nothing.

use std::{io::Write as _, path::PathBuf};

use nixstore::{Sha256Digest, StorePath};
use serde::{Deserialize, Serialize};

use crate::place::{Place, PlaceError};

/// The version of the file.
const FORMAT: u32 = 1;

/// The settings of the gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    format: u32,
    /// Members of this group may build anything in the sandbox. Nothing that they build is ever approved.
    #[serde(default)]
    pub developer_group: Option<String>,
    /// Members of this group may have attributes of the signed package set approved that no list has.
    #[serde(default)]
    pub request_group: Option<String>,
    /// A hook that the machine had before, called after ours has let a build pass.
    #[serde(default)]
    pub chained_hook: Option<PathBuf>,
    /// Approved derivations whose output is fixed by MD5 or SHA-1 and that the owner takes all the same, by the base names
    /// of their paths.
    #[serde(default)]
    pub broken_hashes: Vec<String>,
    /// SHA-256 of scripts by which versions of Nix beside those that are known make a development environment.
    #[serde(default)]
    pub develop_scripts: Vec<String>,
    /// How much an evaluation on request may take.
    #[serde(default)]
    pub evaluation: Limits,
}

/// How much an evaluation may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Limits {
    /// How long, in seconds.
    pub seconds: u64,
    /// How much memory a process, in MiB.
    pub memory: u64,
    /// How much it may write, in MiB; it writes into memory.
    pub files: u64,
}

/// Why the settings are not understood.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file is not there, or not ours.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// It is not what we write.
    #[error("{} is not understood", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// Another version of us wrote it.
    #[error("expected format {FORMAT} in {}, found {found}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The format that it has.
        found: u32,
    },
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            format: FORMAT,
            developer_group: None,
            request_group: None,
            chained_hook: None,
            broken_hashes: Vec::new(),
            develop_scripts: Vec::new(),
            evaluation: Limits::default(),
        }
    }
}

impl Default for Limits {
    /// Several times what a system of today's nixpkgs takes.
    fn default() -> Self {
        Self {
            seconds: 300,
            memory: 8192,
            files: 1024,
        }
    }
}

impl Settings {
    /// The settings of a gate.
    pub fn read(place: &Place) -> Result<Self, SettingsError> {
        let path = place.settings();
        let bytes = place.read_ours(&path)?;
        let settings: Self = serde_json::from_slice(&bytes).map_err(|source| SettingsError::Malformed {
            path: path.clone(),
            source,
        })?;
        if settings.format == FORMAT {
            return Ok(settings);
        }
        let found = settings.format;
        Err(SettingsError::Format { path, found })
    }

    /// Writes them.
    pub fn write(&self, place: &Place) -> Result<(), PlaceError> {
        let mut text = serde_json::to_vec_pretty(self).expect("settings are JSON");
        text.push(b'\n');
        place.replace(&place.settings(), 0o644, |file| file.write_all(&text))
    }

    /// Whether the owner takes this derivation although its output is fixed by a broken hash.
    pub fn takes_broken_hash(&self, derivation: &StorePath) -> bool {
        self.broken_hashes.iter().any(|name| name == derivation.base_name())
    }

    /// Whether a script of that digest makes development environments.
    pub fn is_develop_script(&self, digest: &Sha256Digest) -> bool {
        let digest = digest.to_string();
        KNOWN_DEVELOP_SCRIPTS.iter().any(|(_, known)| *known == digest) || self.develop_scripts.contains(&digest)
    }
}

/// `get-env.sh` of versions of Nix that were looked at.
pub const KNOWN_DEVELOP_SCRIPTS: &[(&str, &str)] = &[
    (
        "2.8.0",
        "0fd7fe04e2600d079b498972738b81fb9e97e409b77f42395210d92c78d9e740",
    ),
    (
        "2.26.3",
        "9d677a27b9ea8b441ae9c2ccf60bba594f5c06ce5ce69b10929770e78baeadbf",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_settings_that_are_not_understood() {
        let directory = tempfile::tempdir().unwrap();
        let place = Place::new(directory.path());
        assert!(matches!(Settings::read(&place), Err(SettingsError::Place(_))));
        Settings::default().write(&place).unwrap();
        assert_eq!(Settings::read(&place).unwrap(), Settings::default());
        for text in [
            "",
            "{}",
            "{\"format\":1,\"developer-gruop\":\"wheel\"}",
            "{\"format\":1}x",
        ] {
            place
                .replace(&place.settings(), 0o644, |file| file.write_all(text.as_bytes()))
                .unwrap();
            assert!(
                matches!(Settings::read(&place), Err(SettingsError::Malformed { .. })),
                "{text}"
            );
        }
        place
            .replace(&place.settings(), 0o644, |file| file.write_all(b"{\"format\":2}"))
            .unwrap();
        assert!(matches!(
            Settings::read(&place),
            Err(SettingsError::Format { found: 2, .. })
        ));
    }
}

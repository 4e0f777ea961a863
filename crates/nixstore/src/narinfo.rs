//! What a binary cache says of a store path: the `.narinfo` file beside the archive.
//!
//! The signatures in it are over path, NAR digest, NAR size and references ([`NarInfo::fingerprint`]), and over nothing
//! else: the address and the compression of the archive are anybody's word.

use std::collections::BTreeSet;

use crate::{
    NarDigest, Sha256Digest, StoreDir, StorePath, StorePathError,
    key::{KeyError, Signature},
    nix32,
};

/// A narinfo, of the store `/nix/store`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NarInfo {
    /// The path that it is about.
    pub path: StorePath,
    /// Where the archive is, relative to the cache.
    pub url: String,
    /// How it is compressed: `none`, `xz`, `zstd`, …
    pub compression: String,
    /// Digest and length of the archive, not compressed.
    pub nar: NarDigest,
    /// The paths that are named in it.
    pub references: BTreeSet<StorePath>,
    /// The derivation that made it; anybody's word.
    pub deriver: Option<StorePath>,
    /// What people have signed.
    pub signatures: Vec<Signature>,
    /// That the path follows from the contents, as Nix spells it; anybody's word.
    pub content_address: Option<String>,
}

/// Why a text is not a narinfo.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NarInfoError {
    /// A line without `name: value`.
    #[error("expected lines of \"name: value\", found {found:?}")]
    Line {
        /// The line.
        found: String,
    },
    /// A field that must be there.
    #[error("expected a field {field}, found none")]
    Missing {
        /// Which.
        field: &'static str,
    },
    /// A field that is there twice, so that two readers could read two things.
    #[error("expected one field {field}, found two")]
    Twice {
        /// Which.
        field: String,
    },
    /// A value that is none.
    #[error("field {field} has the value {found:?}, which is none")]
    Value {
        /// Which.
        field: &'static str,
        /// The value.
        found: String,
    },
    /// A path that is none.
    #[error(transparent)]
    Path(#[from] StorePathError),
    /// A signature that is none.
    #[error(transparent)]
    Signature(#[from] KeyError),
}

impl NarInfo {
    /// Reads a narinfo. Fields that are not known are passed over, as Nix does: they are not signed either.
    pub fn parse(text: &str) -> Result<Self, NarInfoError> {
        let mut fields = Fields::read(text)?;
        let store = StoreDir::default();
        let required = |value: Option<&str>, field| value.map(str::to_owned).ok_or(NarInfoError::Missing { field });
        let path = StorePath::parse_in(&store, &required(fields.get("StorePath"), "StorePath")?)?;
        let size = required(fields.get("NarSize"), "NarSize")?;
        let hash = required(fields.get("NarHash"), "NarHash")?;
        let bad = |field, found: &str| NarInfoError::Value {
            field,
            found: found.to_owned(),
        };
        let nar = NarDigest {
            sha256: digest(&hash).ok_or_else(|| bad("NarHash", &hash))?,
            size: size
                .parse()
                .ok()
                .filter(|number: &u64| *number > 0 && number.to_string() == size)
                .ok_or_else(|| bad("NarSize", &size))?,
        };
        let mut references = BTreeSet::new();
        for reference in fields
            .get("References")
            .unwrap_or("")
            .split(' ')
            .filter(|text| !text.is_empty())
        {
            let reference: StorePath = reference.parse()?;
            if !references.insert(reference.clone()) {
                return Err(bad("References", reference.base_name()));
            }
        }
        let deriver = fields.get("Deriver").filter(|text| *text != "unknown-deriver");
        let url = required(fields.get("URL"), "URL")?;
        // Relative and inside: an address elsewhere is nothing that a cache can ask for.
        if url.is_empty() || url.starts_with('/') || url.contains("://") || url.split('/').any(|part| part == "..") {
            return Err(bad("URL", &url));
        }
        Ok(Self {
            path,
            url,
            compression: fields.get("Compression").unwrap_or("bzip2").to_owned(),
            nar,
            references,
            deriver: deriver.map(str::parse).transpose()?,
            content_address: fields.get("CA").map(str::to_owned),
            signatures: fields
                .take_signatures()
                .into_iter()
                .map(str::parse)
                .collect::<Result<_, _>>()?,
        })
    }

    /// What the signatures are over.
    pub fn fingerprint(&self) -> String {
        let store = StoreDir::default();
        let references: Vec<_> = self
            .references
            .iter()
            .map(|reference| format!("{store}/{reference}"))
            .collect();
        format!(
            "1;{store}/{};sha256:{};{};{}",
            self.path,
            nix32::encode(self.nar.sha256.as_bytes()),
            self.nar.size,
            references.join(",")
        )
    }

    /// The text that [`NarInfo::parse`] reads.
    pub fn to_text(&self) -> String {
        let references: Vec<_> = self.references.iter().map(StorePath::base_name).collect();
        let mut text = format!(
            "StorePath: {}/{}\nURL: {}\nCompression: {}\nNarHash: sha256:{}\nNarSize: {}\nReferences: {}\n",
            StoreDir::default(),
            self.path,
            self.url,
            self.compression,
            nix32::encode(self.nar.sha256.as_bytes()),
            self.nar.size,
            references.join(" ")
        );
        if let Some(deriver) = &self.deriver {
            text += &format!("Deriver: {deriver}\n");
        }
        for signature in &self.signatures {
            text += &format!("Sig: {signature}\n");
        }
        if let Some(address) = &self.content_address {
            text += &format!("CA: {address}\n");
        }
        text
    }
}

/// `sha256:` and nix32 or hexadecimal digits: caches write both.
fn digest(text: &str) -> Option<Sha256Digest> {
    let digits = text.strip_prefix("sha256:")?;
    if digits.len() == 64 {
        return digits.parse().ok();
    }
    nix32::decode(digits).ok().map(Sha256Digest::from_bytes)
}

/// The lines of a narinfo.
struct Fields<'a> {
    single: Vec<(&'a str, &'a str)>,
    signatures: Vec<&'a str>,
}

impl<'a> Fields<'a> {
    fn read(text: &'a str) -> Result<Self, NarInfoError> {
        let mut fields = Self {
            single: Vec::new(),
            signatures: Vec::new(),
        };
        for line in text.lines() {
            // An empty value may have lost its blank.
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| NarInfoError::Line { found: line.to_owned() })?;
            let value = value.strip_prefix(' ').unwrap_or(value);
            if name == "Sig" {
                fields.signatures.push(value);
            } else if fields.get(name).is_some() {
                return Err(NarInfoError::Twice { field: name.to_owned() });
            } else {
                fields.single.push((name, value));
            }
        }
        Ok(fields)
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        self.single
            .iter()
            .find(|(field, _)| *field == name)
            .map(|(_, value)| *value)
    }

    fn take_signatures(&mut self) -> Vec<&'a str> {
        std::mem::take(&mut self.signatures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In the form that cache.nixos.org has.
    const REAL: &str = "StorePath: /nix/store/syd87l2rxw8cbsxmxl853h0r6pdwhwjr-curl-7.82.0-bin\n\
        URL: nar/05ra3y72i3qjri7xskf9qj8kb29r6naqy1sqpbs3azi3xcigmj56.nar.xz\nCompression: xz\n\
        FileHash: sha256:05ra3y72i3qjri7xskf9qj8kb29r6naqy1sqpbs3azi3xcigmj56\nFileSize: 68852\n\
        NarHash: sha256:1b4sb93wp679q4zx9k1ignby1yna3z7c4c2ri3wphylbc2dwsys0\nNarSize: 196040\n\
        References: 0jqd0rlxzra1rs38rdxl43yh6rxchgc6-curl-7.82.0 6w8g7njm4mck5dmjxws0z1xnrxvl81xa-glibc-2.34-115\n\
        Deriver: 5rwxzi7pal3qhpsyfc16gzkh939q1np6-curl-7.82.0.drv\n";

    fn changed(from: &str, to: &str) -> Result<NarInfo, NarInfoError> {
        assert!(REAL.contains(from), "{from}");
        NarInfo::parse(&REAL.replace(from, to))
    }

    #[test]
    fn what_was_read_is_written_and_read_again() {
        let info = NarInfo::parse(REAL).unwrap();
        assert_eq!(info.nar.size, 196_040);
        assert_eq!(info.references.len(), 2);
        assert_eq!(NarInfo::parse(&info.to_text()).unwrap(), info);
        assert!(info.fingerprint().starts_with(
            "1;/nix/store/syd87l2rxw8cbsxmxl853h0r6pdwhwjr-curl-7.82.0-bin;sha256:1b4sb93wp679q4zx9k1ignby1yna3z7c4c2ri3wphylbc2dwsys0;196040;/nix/store/0jqd"
        ));
    }

    #[test]
    fn refuses_what_two_readers_could_read_as_two_things() {
        let twice = changed("NarSize: 196040\n", "NarSize: 196040\nNarSize: 1\n");
        assert!(matches!(twice, Err(NarInfoError::Twice { .. })));
        assert!(matches!(changed("196040", "0196040"), Err(NarInfoError::Value { .. })));
        assert!(matches!(changed("196040", "0"), Err(NarInfoError::Value { .. })));
        assert!(matches!(
            changed("sha256:1b4s", "sha256:2b4s"),
            Err(NarInfoError::Value { .. })
        ));
        assert!(matches!(
            changed("NarSize: 196040\n", ""),
            Err(NarInfoError::Missing { .. })
        ));
        assert!(matches!(
            changed("nar/05ra", "../nar/05ra"),
            Err(NarInfoError::Value { .. })
        ));
        assert!(matches!(
            changed("nar/05ra", "http://elsewhere/05ra"),
            Err(NarInfoError::Value { .. })
        ));
        assert!(matches!(
            changed("Deriver: ", "Deriver"),
            Err(NarInfoError::Line { .. })
        ));
        let doubled = changed(
            "References: ",
            "References: 0jqd0rlxzra1rs38rdxl43yh6rxchgc6-curl-7.82.0 ",
        );
        assert!(matches!(doubled, Err(NarInfoError::Value { .. })));
    }
}

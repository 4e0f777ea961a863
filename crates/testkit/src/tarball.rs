//! What a channel ships: a small tree of files, packed, with the NAR digest that a release names.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Read as _,
};

use attestation::{
    Sha256Digest,
    patch::{Entry, MAGIC, Node, PatchList, PatchPath},
};

/// A channel's `nixexprs.tar.xz`.
#[derive(Debug, Clone)]
pub struct ChannelTarball {
    /// The file.
    pub bytes: Vec<u8>,
    /// NAR SHA-256 of what it unpacks to: the release's `channel-nar`.
    pub nar: Sha256Digest,
    /// NAR SHA-256 of that without the link: the release's `tree-nar`.
    pub tree_nar: Sha256Digest,
    /// What it holds, beside the link `nixpkgs -> .`.
    pub files: BTreeMap<String, String>,
}

impl ChannelTarball {
    /// A tarball of these files (path and text), and of the link `nixpkgs -> .` that every channel has.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn new(files: &[(&str, &str)]) -> Self {
        let tree = tempfile::tempdir().expect("a directory");
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        for (path, text) in files {
            let on_disk = tree.path().join("nixexprs").join(path);
            fs::create_dir_all(on_disk.parent().expect("a file has a parent")).expect("a directory");
            fs::write(&on_disk, text).expect("a file");
            header.set_entry_type(tar::EntryType::Regular);
            header.set_mode(0o644);
            header.set_size(text.len() as u64);
            tar.append_data(&mut header, format!("nixexprs/{path}"), text.as_bytes())
                .expect("an entry");
        }
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        tar.append_link(&mut header, "nixexprs/nixpkgs", ".").expect("an entry");
        let tree = tree.path().join("nixexprs");
        let tree_nar = nixstore::nar::hash_directory(&tree).expect("a tree").sha256;
        std::os::unix::fs::symlink(".", tree.join("nixpkgs")).expect("a link");
        let plain = tar.into_inner().expect("a tar file");
        let mut bytes = Vec::new();
        liblzma::read::XzEncoder::new(plain.as_slice(), 1)
            .read_to_end(&mut bytes)
            .expect("an xz file");
        let nar = nixstore::nar::hash_directory(&tree).expect("a tree").sha256;
        let files = files
            .iter()
            .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
        Self {
            bytes,
            nar,
            tree_nar,
            files: files.collect(),
        }
    }

    /// The patch that leads here from `old`, as channels publish it: its name and its bytes.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn patch_from(&self, old: &Self) -> (String, Vec<u8>) {
        let (mut entries, mut gone, mut fresh) = (BTreeMap::new(), String::new(), String::new());
        let path = |text: &str| PatchPath::new(text).expect("a path");
        let differing = |path: &&String| self.files.get(*path) != old.files.get(*path);
        let paths: BTreeSet<_> = self.files.keys().chain(old.files.keys()).filter(differing).collect();
        let mut paths: Vec<_> = paths.into_iter().map(|text| path(text)).collect();
        paths.sort();
        for path_of in paths {
            gone += old.files.get(path_of.as_str()).map_or("", String::as_str);
            let node = match self.files.get(path_of.as_str()) {
                None => Node::Absent,
                Some(text) => {
                    fresh += text;
                    Node::File {
                        executable: false,
                        length: text.len() as u64,
                    }
                }
            };
            entries.insert(path_of, node);
        }
        // Directories that come, and that go: here no file takes the place of a directory.
        let directories = |tarball: &Self| -> BTreeSet<PatchPath> {
            let parents = tarball
                .files
                .keys()
                .flat_map(|file| file.match_indices('/').map(move |(at, _)| &file[..at]));
            parents.map(path).collect()
        };
        let (before, after) = (directories(old), directories(self));
        for directory in after.difference(&before) {
            entries.insert(directory.clone(), Node::Directory);
        }
        for directory in before.difference(&after) {
            entries.retain(|path, _| !path.is_below(directory));
            entries.insert(directory.clone(), Node::Absent);
        }
        let entries = entries.into_iter().map(|(path, node)| Entry { path, node }).collect();
        let list = PatchList::new(entries).expect("a list").to_bytes();
        let name = PatchList::file_name(old.nar);
        (name, patch_file(&list, gone.as_bytes(), fresh.as_bytes()))
    }
}

/// A patch of this list, and of new contents compressed against the old ones.
///
/// # Panics
/// If it cannot be made.
pub fn patch_file(list: &[u8], gone: &[u8], fresh: &[u8]) -> Vec<u8> {
    let packed = zstd::encode_all(list, 3).expect("zstd");
    let mut out = MAGIC.to_vec();
    out.extend((packed.len() as u64).to_le_bytes());
    out.extend((list.len() as u64).to_le_bytes());
    out.extend(packed);
    let mut encoder = zstd::stream::write::Encoder::with_ref_prefix(out, 3, gone).expect("zstd");
    std::io::Write::write_all(&mut encoder, fresh).expect("zstd");
    encoder.finish().expect("zstd")
}

//! What a channel ships: a small tree of files, packed, with the NAR digest that a release names.

use std::{fs, io::Read as _};

use attestation::Sha256Digest;

/// A channel's `nixexprs.tar.xz`.
#[derive(Debug, Clone)]
pub struct ChannelTarball {
    /// The file.
    pub bytes: Vec<u8>,
    /// NAR SHA-256 of what it unpacks to: the release's `channel-nar`.
    pub nar: Sha256Digest,
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
        std::os::unix::fs::symlink(".", tree.join("nixpkgs")).expect("a link");
        let plain = tar.into_inner().expect("a tar file");
        let mut bytes = Vec::new();
        liblzma::read::XzEncoder::new(plain.as_slice(), 1)
            .read_to_end(&mut bytes)
            .expect("an xz file");
        let nar = nixstore::nar::hash_directory(&tree).expect("a tree").sha256;
        Self { bytes, nar }
    }
}

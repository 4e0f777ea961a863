//! Writes honest files for the fuzz targets to begin from: `cargo run -p policy --example fuzz_seeds`.

use std::{fs, path::Path};

use attestation::Sha256Digest;

#[path = "../fuzz/seeds.rs"]
mod seeds;

fn main() -> std::io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (target, bytes) in seeds::all() {
        let dir = corpus.join(target);
        fs::create_dir_all(&dir)?;
        fs::write(dir.join(&Sha256Digest::of(&bytes).to_string()[..16]), bytes)?;
    }
    Ok(())
}

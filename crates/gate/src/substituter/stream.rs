//! An archive on its way from a cache to Nix: unpacked, counted, hashed, and its end held back until it is the right one.

use std::{
    error::Error,
    io::{self, Write},
    sync::mpsc::{self, SyncSender},
    thread,
};

use liblzma::{
    stream::{IGNORE_CHECK, Stream},
    write::XzDecoder,
};
use nixstore::{NarDigest, Sha256Digest};
use sha2::{Digest as _, Sha256};

use super::{Cache, quorum::Source};

/// What is held back of the end, in bytes: without it no archive is one.
const HELD: u64 = 64 << 10;

/// So much has come before anything is passed on.
const FIRST: u64 = 256 << 10;

/// How much memory an archive may make the decompressor take.
const DECODER_MEMORY: u64 = 128 << 20;

/// Why an archive was not given.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// No cache that agreed is there any more.
    #[error("no cache has the archive")]
    NoSource,
    /// A compression that is not known.
    #[error("{cache} has the archive compressed as {found:?}, which is not read here")]
    Compression {
        /// The cache.
        cache: String,
        /// How it is compressed.
        found: String,
    },
    /// It could not be fetched, or unpacked, or was longer.
    #[error("{cache} did not give the archive")]
    Fetch {
        /// The cache.
        cache: String,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
        /// Whether some of it was passed on.
        begun: bool,
    },
    /// It is another archive.
    #[error("{cache} gave another archive: expected NAR SHA-256 {expected}, found {found}")]
    Other {
        /// The cache.
        cache: String,
        /// What was agreed on.
        expected: Sha256Digest,
        /// What came.
        found: Sha256Digest,
        /// Whether some of it was passed on.
        begun: bool,
    },
}

impl StreamError {
    /// Whether Nix has begun to receive it, so that no other cache can take over.
    pub const fn has_begun(&self) -> bool {
        match self {
            Self::Fetch { begun, .. } | Self::Other { begun, .. } => *begun,
            Self::NoSource | Self::Compression { .. } => false,
        }
    }
}

/// Copies the archive from a cache to `sink`.
pub(super) fn copy(
    cache: &dyn Cache,
    source: &Source,
    nar: &NarDigest,
    sink: &mut dyn Write,
) -> Result<(), StreamError> {
    let mut checked = Checked {
        sink,
        size: nar.size,
        seen: 0,
        hasher: Sha256::new(),
        held: Vec::new(),
        begun: false,
    };
    // Compressed is hardly ever longer than plain.
    let bound = nar.size.saturating_add(nar.size / 8).saturating_add(1 << 20);
    let fetched = match source.compression.as_str() {
        "none" => cache.fetch(&source.file, bound, &mut checked).map(drop),
        "xz" => on_two_threads(&mut checked, |pieces| {
            // Its own checksum is nobody's: the whole archive is hashed.
            let stream = Stream::new_stream_decoder(DECODER_MEMORY, IGNORE_CHECK)?;
            through(cache, source, bound, XzDecoder::new_stream(pieces, stream))
        }),
        "zstd" => zstd::stream::write::Decoder::new(&mut checked)
            .map_err(Into::into)
            .and_then(|decoder| through(cache, source, bound, decoder)),
        other => {
            return Err(StreamError::Compression {
                cache: source.cache.clone(),
                found: other.to_owned(),
            });
        }
    };
    let begun = checked.begun;
    fetched.map_err(|error| StreamError::Fetch {
        cache: source.cache.clone(),
        source: error,
        begun,
    })?;
    let found = Sha256Digest::from(checked.hasher);
    if found != nar.sha256 || checked.seen != nar.size {
        return Err(StreamError::Other {
            cache: source.cache.clone(),
            expected: nar.sha256,
            found,
            begun,
        });
    }
    let held = std::mem::take(&mut checked.held);
    checked
        .sink
        .write_all(&held)
        .and_then(|()| checked.sink.flush())
        .map_err(|error| StreamError::Fetch {
            cache: source.cache.clone(),
            source: error.into(),
            begun: true,
        })
}

fn through(
    cache: &dyn Cache,
    source: &Source,
    bound: u64,
    mut decoder: impl Write,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    cache.fetch(&source.file, bound, &mut decoder)?;
    Ok(decoder.flush()?)
}

/// `unpack` works on a thread of its own, while this one hashes and passes on: xz is so slow that this pays.
fn on_two_threads(
    checked: &mut Checked<'_>,
    unpack: impl FnOnce(Pieces) -> Result<(), Box<dyn Error + Send + Sync>> + Send,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let (send, receive) = mpsc::sync_channel(PIECES);
    thread::scope(|scope| {
        let piece = Vec::new();
        let unpacking = scope.spawn(move || unpack(Pieces { send, piece }));
        // Ends when the decoder is dropped. Dropping the other end makes that thread fail, whose error is then of no
        // interest.
        let passed = receive.into_iter().try_for_each(|piece| checked.write_all(&piece));
        let unpacked = unpacking
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        passed.map_err(Into::into).and(unpacked)
    })
}

/// How many pieces may wait.
const PIECES: usize = 4;

/// How long a piece is, in bytes.
const PIECE: usize = 64 << 10;

/// A writer whose bytes are another thread's, a piece at a time; the last at the latest when it is flushed.
struct Pieces {
    send: SyncSender<Vec<u8>>,
    piece: Vec<u8>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.piece.capacity() == 0 {
            self.piece.reserve(PIECE);
        }
        self.piece.extend_from_slice(bytes);
        if self.piece.len() + bytes.len() > PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let piece = std::mem::take(&mut self.piece);
        self.send
            .send(piece)
            .map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "nobody takes the archive any more"))
    }
}

/// A writer that counts and hashes, and passes on all but the last part; also nothing before [`FIRST`] has come, so that
/// another cache can still take over.
struct Checked<'a> {
    sink: &'a mut dyn Write,
    size: u64,
    seen: u64,
    hasher: Sha256,
    held: Vec<u8>,
    begun: bool,
}

impl Write for Checked<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let before = self.seen;
        self.seen += bytes.len() as u64;
        if self.seen > self.size {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "longer than the archive that was agreed on",
            ));
        }
        self.hasher.update(bytes);
        let end = self.size.saturating_sub(HELD);
        if self.seen < FIRST || before >= end {
            self.held.extend_from_slice(bytes);
            return Ok(bytes.len());
        }
        // What is held now is from the beginning.
        let pass = usize::try_from(end - before).map_or(bytes.len(), |pass| pass.min(bytes.len()));
        let (pass, keep) = bytes.split_at(pass);
        self.begun = true;
        self.sink.write_all(&self.held)?;
        self.sink.write_all(pass)?;
        self.held.clear();
        self.held.extend_from_slice(keep);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cache of one file.
    struct One(Vec<u8>);

    impl Cache for One {
        fn url(&self) -> String {
            "one".to_owned()
        }

        fn fetch(&self, _: &str, bound: u64, sink: &mut dyn Write) -> Result<u64, Box<dyn Error + Send + Sync>> {
            assert!(self.0.len() as u64 <= bound);
            for part in self.0.chunks(1000) {
                sink.write_all(part)?;
            }
            Ok(self.0.len() as u64)
        }
    }

    fn source(compression: &str) -> Source {
        Source {
            cache: "one".to_owned(),
            file: "nar".to_owned(),
            compression: compression.to_owned(),
        }
    }

    #[test]
    fn what_was_agreed_on_arrives_whole_however_it_is_compressed() {
        let plain: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
        let nar = NarDigest {
            sha256: Sha256Digest::of(&plain),
            size: plain.len() as u64,
        };
        let xz = liblzma::encode_all(&plain[..], 1).unwrap();
        let zstd = zstd::encode_all(&plain[..], 1).unwrap();
        for (compression, bytes) in [("none", plain.clone()), ("xz", xz), ("zstd", zstd)] {
            let mut out = Vec::new();
            copy(&One(bytes.clone()), &source(compression), &nar, &mut out).unwrap();
            assert!(out == plain, "{compression}");
            // The end of another archive never leaves.
            for at in [bytes.len() / 2, bytes.len() - 1] {
                let mut changed = bytes.clone();
                changed[at] ^= 1;
                let mut out = Vec::new();
                let error = copy(&One(changed), &source(compression), &nar, &mut out);
                assert!(
                    error.is_err() && out.len() < plain.len(),
                    "{compression} changed at {at}"
                );
            }
            let mut out = Vec::new();
            let cut = copy(
                &One(bytes[..bytes.len() / 2].to_vec()),
                &source(compression),
                &nar,
                &mut out,
            );
            assert!(cut.is_err() && out.len() < plain.len(), "{compression} cut");
        }
    }

    /// Around every bound: all of it where it is right, and never its end where anything of it is not.
    #[test]
    fn an_archive_of_any_length_arrives_whole_or_without_its_end() {
        let (held, first) = (usize::try_from(HELD).unwrap(), usize::try_from(FIRST).unwrap());
        for around in [1, held, first, first + held, 2 * first] {
            for length in [around - 1, around, around + 1, around + 999, around + 1_001] {
                let plain: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
                let nar = NarDigest {
                    sha256: Sha256Digest::of(&plain),
                    size: length as u64,
                };
                let mut out = Vec::new();
                copy(&One(plain.clone()), &source("none"), &nar, &mut out).unwrap();
                assert!(out == plain, "{length}");
                for at in [0, length / 2, length.saturating_sub(1)] {
                    let mut changed = plain.clone();
                    let Some(byte) = changed.get_mut(at) else { continue };
                    *byte ^= 1;
                    let mut out = Vec::new();
                    copy(&One(changed), &source("none"), &nar, &mut out).unwrap_err();
                    assert!(out.len() + held.min(length) <= length, "{length}: {} left", out.len());
                }
                let mut out = Vec::new();
                let longer = [&plain[..], b"x"].concat();
                copy(&One(longer), &source("none"), &nar, &mut out).unwrap_err();
                assert!(out.len() + held.min(length) <= length, "{length}: {} left", out.len());
            }
        }
    }

    #[test]
    fn a_bomb_ends_where_the_agreed_archive_ends_and_unknown_compression_is_refused() {
        let bomb = zstd::encode_all(&vec![0_u8; 50_000_000][..], 1).unwrap();
        let nar = NarDigest {
            sha256: Sha256Digest::of("x"),
            size: 1,
        };
        let mut out = Vec::new();
        let error = copy(&One(bomb), &source("zstd"), &nar, &mut out).unwrap_err();
        assert!(matches!(error, StreamError::Fetch { begun: false, .. }) && out.is_empty());
        let error = copy(&One(Vec::new()), &source("rot13"), &nar, &mut out).unwrap_err();
        assert!(matches!(error, StreamError::Compression { .. }));
    }
}

//! Gzip, whole files at a time.

use libdeflater::{DecompressionError, Decompressor};

/// The bytes that a gzip file of one member has, at most `most`; `None` if it is none, is damaged, or has more.
pub fn gunzip(bytes: &[u8], most: u64) -> Option<Vec<u8>> {
    // The last four bytes say how many there are, but for multiples of 4 GiB.
    let (_, said) = bytes.split_last_chunk::<4>()?;
    let said = u64::from(u32::from_le_bytes(*said));
    let size = usize::try_from(said).ok().filter(|_| said <= most)?;
    let mut out = vec![0; size];
    match Decompressor::new().gzip_decompress(bytes, &mut out) {
        Ok(written) if written == size => Some(out),
        Ok(_) | Err(DecompressionError::BadData | DecompressionError::InsufficientSpace) => None,
    }
}

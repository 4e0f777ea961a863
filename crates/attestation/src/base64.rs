//! Base64 with one spelling. The decoder below takes several padded texts after each other as one (`QQ==QQ==`).

use data_encoding::BASE64;

/// What padded base64 says, if it is written as [`BASE64`] writes it.
pub(crate) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let decoded = BASE64.decode(text).ok()?;
    (BASE64.encode(&decoded).as_bytes() == text).then_some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Found by the fuzz target of envelopes.
    #[test]
    fn refuses_padding_within_and_other_second_spellings() {
        assert_eq!(decode(b"QUJD").unwrap(), b"ABC");
        assert_eq!(decode(b"QQ==").unwrap(), b"A");
        for bad in ["QQ==QQ==", "QUI=QQ==", "QR==", "QQ=", "QQ", "Q Q=", "QQ==\n", "===="] {
            assert_eq!(decode(bad.as_bytes()), None, "{bad}");
        }
    }
}

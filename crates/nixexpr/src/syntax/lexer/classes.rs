//! Of what each byte can be a part.

const PATH: u8 = 1;
const SCHEME: u8 = 2;
const URI: u8 = 4;
const IDENT: u8 = 8;
const WORD: u8 = 16;

/// Of what each byte can be a part. Every byte of a file is asked for this, most of them twice.
static CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0_u8;
    loop {
        let alphanumeric = byte.is_ascii_alphanumeric();
        let mut class = 0;
        if alphanumeric || matches!(byte, b'.' | b'_' | b'-' | b'+') {
            class |= PATH;
        }
        if alphanumeric || matches!(byte, b'.' | b'-' | b'+') {
            class |= SCHEME;
        }
        if alphanumeric
            || matches!(
                byte,
                b'%' | b'/'
                    | b'?'
                    | b':'
                    | b'@'
                    | b'&'
                    | b'='
                    | b'+'
                    | b'$'
                    | b','
                    | b'-'
                    | b'_'
                    | b'.'
                    | b'!'
                    | b'~'
                    | b'*'
                    | b'\''
            )
        {
            class |= URI;
        }
        if alphanumeric || matches!(byte, b'_' | b'-' | b'\'') {
            class |= IDENT;
        }
        if alphanumeric || matches!(byte, b'_' | b'-') {
            class |= WORD;
        }
        classes[byte as usize] = class;
        if byte == u8::MAX {
            break classes;
        }
        byte += 1;
    }
};

pub(super) fn is_path_char(byte: u8) -> bool {
    CLASSES[usize::from(byte)] & PATH != 0
}

pub(super) fn is_scheme_char(byte: u8) -> bool {
    CLASSES[usize::from(byte)] & SCHEME != 0
}

pub(super) fn is_uri_char(byte: u8) -> bool {
    CLASSES[usize::from(byte)] & URI != 0
}

pub(super) fn is_ident_char(byte: u8) -> bool {
    CLASSES[usize::from(byte)] & IDENT != 0
}

/// What a name and a path have in common.
pub(super) fn is_word_char(byte: u8) -> bool {
    CLASSES[usize::from(byte)] & WORD != 0
}

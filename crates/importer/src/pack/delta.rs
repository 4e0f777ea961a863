//! Objects that are stored as instructions: copy this part of the base, insert these bytes.

use crate::repository::MAX_OBJECT;

/// A part of an object that is a part of its base.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Copied {
    /// Where it begins.
    pub(crate) start: usize,
    /// Where it begins in the base.
    pub(crate) base: usize,
    /// How many bytes it is long.
    pub(crate) length: usize,
}

/// Makes an object from its base; notes what was copied, in order. `None` if the instructions do not fit.
pub(super) fn apply(base: &[u8], delta: &[u8], out: &mut Vec<u8>, mut copied: impl FnMut(Copied)) -> Option<()> {
    let mut rest = delta;
    let base_size = size(&mut rest)?;
    let size = size(&mut rest)?;
    if base_size != base.len() || size > MAX_OBJECT {
        return None;
    }
    out.clear();
    out.reserve(size);
    while let Some((&instruction, after)) = rest.split_first() {
        rest = after;
        if instruction & 0x80 != 0 {
            let mut operand = |bits: std::ops::Range<u32>| {
                let mut value = 0_usize;
                for (shift, bit) in bits.enumerate() {
                    if instruction & (1 << bit) != 0 {
                        let (&byte, after) = rest.split_first()?;
                        rest = after;
                        value |= usize::from(byte) << (8 * shift);
                    }
                }
                Some(value)
            };
            let from = operand(0..4)?;
            let length = match operand(4..7)? {
                0 => 0x1_0000,
                length => length,
            };
            copied(Copied {
                start: out.len(),
                base: from,
                length,
            });
            out.extend_from_slice(base.get(from..from.checked_add(length)?)?);
        } else {
            let (inserted, after) = rest.split_at_checked(usize::from(instruction))?;
            // An instruction of zero is reserved.
            (!inserted.is_empty()).then_some(())?;
            out.extend_from_slice(inserted);
            rest = after;
        }
        if out.len() > size {
            return None;
        }
    }
    (out.len() == size).then_some(())
}

/// A number in groups of seven bits, the lowest first.
fn size(bytes: &mut &[u8]) -> Option<usize> {
    let mut value = 0_usize;
    for shift in (0..usize::BITS - 7).step_by(7) {
        let (&byte, after) = bytes.split_first()?;
        *bytes = after;
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(base: &[u8], delta: &[u8]) -> Option<(Vec<u8>, Vec<Copied>)> {
        let (mut out, mut copies) = (Vec::new(), Vec::new());
        apply(base, delta, &mut out, |copied| copies.push(copied))?;
        Some((out, copies))
    }

    #[test]
    fn copies_and_inserts() {
        // 6 bytes of base; 5 of result: copy 3 from 1, insert "xy".
        let (out, copies) = applied(b"abcdef", &[6, 5, 0x91, 1, 3, 2, b'x', b'y']).unwrap();
        assert_eq!(out, b"bcdxy");
        let expected = Copied {
            start: 0,
            base: 1,
            length: 3,
        };
        assert_eq!(copies, [expected]);
    }

    #[test]
    fn refuses_instructions_that_do_not_fit() {
        for (delta, flaw) in [
            (&[5, 3, 0x91, 1, 3][..], "another base's size"),
            (&[6, 4, 0x91, 1, 3], "a result that is too short"),
            (&[6, 2, 0x91, 1, 3], "a result that is too long"),
            (&[6, 3, 0x91, 4, 3], "a copy beyond the base"),
            (&[6, 3, 3, b'x'], "a truncated insertion"),
            (&[6, 3, 0x91, 1], "a truncated copy"),
            (&[6, 3, 0], "the reserved instruction"),
            (&[6], "no size"),
            (
                &[0x86, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80],
                "an endless size",
            ),
        ] {
            assert_eq!(applied(b"abcdef", delta), None, "{flaw}");
        }
    }
}

//! ELF notes.

/// The contents of the first note of a name and kind.
pub(crate) fn note<'a>(mut notes: &'a [u8], name: &[u8], kind: u32) -> Option<&'a [u8]> {
    let word = |bytes: &[u8]| Some(u32::from_ne_bytes(*bytes.first_chunk()?));
    let length = |bytes: &[u8]| usize::try_from(word(bytes)?).ok();
    loop {
        let (head, rest) = notes.split_at_checked(12)?;
        let (its_name, rest) = padded(rest, length(head)?)?;
        let (contents, rest) = padded(rest, length(&head[4..])?)?;
        if its_name == name && word(&head[8..])? == kind {
            return Some(contents);
        }
        notes = rest;
    }
}

/// So many bytes, and what comes behind them and their padding.
fn padded(bytes: &[u8], length: usize) -> Option<(&[u8], &[u8])> {
    let (taken, _) = bytes.split_at_checked(length)?;
    // The last one may lack its padding.
    let next = length.checked_next_multiple_of(4)?.min(bytes.len());
    Some((taken, &bytes[next..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_found_by_name_and_kind() {
        let mut notes = Vec::new();
        for (name, kind, contents) in [
            (&b"odd\0"[..], 1_u32, &b"12345"[..]),
            (b"GNU\0", 1, b""),
            (b"GNU\0", 3, b"\x01\x02\x03"),
        ] {
            for word in [name.len(), contents.len()] {
                notes.extend(u32::try_from(word).unwrap().to_ne_bytes());
            }
            notes.extend(kind.to_ne_bytes());
            notes.extend(name);
            notes.extend(contents);
            notes.resize(notes.len().next_multiple_of(4), 0);
        }
        assert_eq!(note(&notes, b"GNU\0", 3), Some(&[1, 2, 3][..]));
        assert_eq!(note(&notes, b"odd\0", 1), Some(&b"12345"[..]));
        assert_eq!(note(&notes, b"GNU\0", 4), None);
        // Cut off anywhere, they are no more than not found.
        for end in 0..notes.len() - 1 {
            assert_eq!(note(&notes[..end], b"GNU\0", 3), None, "{end}");
        }
        assert_eq!(note(&[0xff; 64], b"GNU\0", 3), None);
    }
}

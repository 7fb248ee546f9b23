//! A whole environment as one block of bytes: each `NAME=value` ended by a NUL byte. One piece of
//! memory on its whole way, where a list of variables would be hundreds.

/// What is wrong with a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadBlock {
    /// The last entry has no end.
    #[error("the last entry is not ended by a NUL byte")]
    Unended,
    /// An entry is no `NAME=value`.
    #[error("an entry is not of the form NAME=value")]
    NoVariable,
}

/// The entries of a block, without their ends.
pub fn entries(block: &[u8]) -> impl Iterator<Item = &[u8]> {
    // On the way of every start: some kilobytes, searched by words and not by bytes.
    let end = block.strip_suffix(&[0]).map(<[u8]>::len);
    let ends = memchr::memchr_iter(0, &block[..end.unwrap_or(0)]).chain(end);
    ends.scan(0, |begin, end| {
        let entry = &block[*begin..end];
        *begin = end + 1;
        Some(entry)
    })
}

/// Checks a block that came from outside.
///
/// # Errors
/// When it is not made of ended `NAME=value` entries.
pub fn check(block: &[u8]) -> Result<(), BadBlock> {
    if !block.is_empty() && block.last() != Some(&0) {
        return Err(BadBlock::Unended);
    }
    let is_variable = |entry: &[u8]| memchr::memchr(b'=', entry) > Some(0);
    if entries(block).all(is_variable) {
        Ok(())
    } else {
        Err(BadBlock::NoVariable)
    }
}

/// Adds an entry to a block.
pub fn push(block: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    block.reserve(name.len() + value.len() + 2);
    block.extend_from_slice(name);
    block.push(b'=');
    block.extend_from_slice(value);
    block.push(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pushed_comes_out() {
        let mut block = Vec::new();
        assert_eq!(check(&block), Ok(()));
        assert_eq!(entries(&block).count(), 0);
        push(&mut block, b"A", b"1=2");
        push(&mut block, b"B", b"");
        assert_eq!(check(&block), Ok(()));
        let entries: Vec<_> = entries(&block).collect();
        assert_eq!(entries, [&b"A=1=2"[..], b"B="]);
    }

    #[test]
    fn bad_blocks() {
        assert_eq!(check(b"A=1"), Err(BadBlock::Unended));
        for bad in [&b"A\0"[..], b"=1\0", b"\0", b"A=1\0\0"] {
            assert_eq!(check(bad), Err(BadBlock::NoVariable), "{bad:?}");
        }
    }
}

//! What the checks share.

use mpfork_proto::problem::Problem;

/// The next number of a descriptor in an assignment.
pub(crate) fn take(index: &mut u32) -> u32 {
    let taken = *index;
    *index += 1;
    taken
}

pub(crate) fn no_nul<'a>(
    field: &str,
    texts: impl IntoIterator<Item = &'a Vec<u8>>,
) -> Result<(), Problem> {
    if texts.into_iter().any(|text| text.contains(&0)) {
        return Err(Problem::bad_request(field, "a NUL byte inside"));
    }
    Ok(())
}

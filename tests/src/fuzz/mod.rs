//! What is done with any bytes: by cargo-fuzz, see `tests/fuzz`, and as property tests with the others.
//! Each function panics when what must hold does not.
#![allow(clippy::unwrap_used)] // A panic is what it tells by.

mod configuration;
mod descriptor_stream;
mod link_frames;
mod requests;

pub use configuration::configuration;
pub use descriptor_stream::descriptor_stream;
pub use link_frames::link_frames;
pub use requests::requests;

use std::cell::LazyCell;

thread_local! {
    /// One for all that is tried on a thread.
    static RUNTIME: LazyCell<tokio::runtime::Runtime> = LazyCell::new(|| {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap()
    });
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    RUNTIME.with(|runtime| runtime.block_on(future))
}

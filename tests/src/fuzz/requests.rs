//! Requests that come from anybody.

use mpfork_proto::problem::Problem;
use mpfork_proto::reason::Reason;
use mpfork_transport::{Connection, FdStream};
use std::cell::LazyCell;
use tokio::net::UnixStream;

/// Any bytes as a start and as a recipe: what is refused names a field, a limit or a descriptor.
///
/// # Panics
/// When it does not.
pub fn requests(data: &[u8]) {
    CONNECTION.with(|connection| {
        for attaching in [false, true] {
            check(mpforkd::checks::start(data, attaching, connection));
        }
        check(mpforkd::checks::recipe(data, connection));
    });
}

fn check(outcome: Option<Result<(), Problem>>) {
    if let Some(Err(problem)) = outcome {
        let fact = match problem.reason {
            Reason::BadRequest => "field",
            Reason::LimitReached => "limit",
            Reason::DescriptorMissing => "detail",
            // A recipe without a descriptor names a file, which is opened.
            Reason::ProgramRefused => "program",
            _ => panic!("{problem:?}"),
        };
        assert!(!problem.get(fact).is_empty(), "{problem:?}");
        assert!(!problem.message.is_empty());
    }
}

thread_local! {
    /// One that carries no descriptors.
    static CONNECTION: LazyCell<Connection> = LazyCell::new(|| {
        super::block_on(async {
            let (socket, _) = UnixStream::pair().unwrap();
            FdStream::server(socket).unwrap().connection()
        })
    });
}

//! Requests that come from anybody.

use mpfork_proto::reason::Reason;
use mpfork_transport::{Connection, FdStream};
use tokio::net::UnixStream;

/// Any bytes as a start and as a recipe: what is refused names a field, a limit or a descriptor.
///
/// # Panics
/// When it does not.
pub fn requests(data: &[u8]) {
    let connection = connection();
    for outcome in [
        mpforkd::checks::start(data, &connection),
        mpforkd::checks::recipe(data, &connection),
    ] {
        let Some(Err(problem)) = outcome else {
            continue;
        };
        let fact = match problem.reason {
            Reason::BadRequest => "field",
            Reason::LimitReached => "limit",
            Reason::DescriptorMissing => "detail",
            _ => panic!("{problem:?}"),
        };
        assert!(!problem.get(fact).is_empty(), "{problem:?}");
        assert!(!problem.message.is_empty());
    }
}

/// One that carries no descriptors.
fn connection() -> Connection {
    super::block_on(async {
        let (socket, _) = UnixStream::pair().unwrap();
        FdStream::server(socket).unwrap().connection()
    })
}

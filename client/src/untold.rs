//! Exits that nobody will tell any more.

use crate::error::Error;
use mpfork_proto::reason::Reason;

/// Why a worker's exit can't be known any more, by what asking mpforkd for it gave; `None` when it may be
/// told yet.
pub(crate) fn why(error: &Error) -> Option<String> {
    match error {
        Error::ServerLost { cause, .. } => {
            Some(format!("mpforkd, which made the process, is gone: {cause}"))
        }
        Error::NoServer(none) if none.tried.iter().all(|attempt| attempt.absent) => {
            Some("mpforkd, which made the process, is gone".to_owned())
        }
        Error::Server(problem) if problem.reason == Reason::UnknownWorker => {
            Some(problem.message.clone())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::NoServer;
    use mpfork_proto::problem::Problem;

    #[test]
    fn only_what_nobody_will_tell_is_unknown() {
        let lost = Error::ServerLost {
            socket: "/socket".into(),
            cause: "it was killed".to_owned(),
            asked: true,
        };
        assert!(why(&lost).unwrap().ends_with("is gone: it was killed"));
        let none = NoServer {
            tried: Vec::new(),
            demand: None,
        };
        assert!(why(&none.into()).unwrap().ends_with("is gone"));
        let forgotten = Problem::new(Reason::UnknownWorker, "no such worker");
        assert_eq!(why(&forgotten.into()).unwrap(), "no such worker");
        // Of this process, for now.
        let error = std::io::Error::from(std::io::ErrorKind::OutOfMemory);
        assert_eq!(why(&Error::system("asking", error)), None);
        let limit = Problem::limit("connections", 7);
        assert_eq!(why(&limit.into()), None);
    }
}

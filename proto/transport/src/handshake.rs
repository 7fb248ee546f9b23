//! The first call on a connection: versions, the connection's id, and whether descriptors pass.

use crate::channel::Channel;
use crate::connection::{Connection, Phase, Side};
use crate::{MAX_CREDIT, uncancelled};
use mpfork_proto::VERSIONS;
use mpfork_proto::problem::Problem;
use mpfork_proto::reason::Reason;
use mpfork_proto::v1::connection_client::ConnectionClient;
use mpfork_proto::v1::{HandshakeRequest, HandshakeResponse};
use std::os::fd::OwnedFd;
use tonic::Status;

/// What a client learned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handshake {
    /// The version of the API to speak.
    pub version: u32,
    /// The daemon's name and version, for people.
    pub daemon: String,
    /// Its pid as it sees itself.
    pub pid: i32,
    /// This run of the daemon.
    pub instance: u64,
    /// Whether descriptors pass on this connection.
    pub descriptors: bool,
    /// It can't fork where it runs, and executes every worker afresh.
    pub spawns: bool,
}

/// The client's side: the first call on a new channel. `client` is for people; `credit` is how many
/// descriptors the daemon may have outstanding, 0 to do without any.
///
/// # Errors
/// As the call; [`Reason::VersionMismatch`] when there is no version in common. When the connection
/// broke, [`Connection::failure`] may know more.
pub async fn client_handshake(
    channel: Channel,
    connection: &Connection,
    client: &str,
    credit: u32,
) -> Result<Handshake, Status> {
    let credit = credit.min(MAX_CREDIT);
    let mut rpc = ConnectionClient::new(channel);
    let mut request = HandshakeRequest {
        version_min: VERSIONS.0,
        version_max: VERSIONS.1,
        client: client.to_owned(),
        descriptor_credit: credit,
    };
    connection.probe(credit)?;
    let response = rpc.handshake(request.clone()).await?.into_inner();
    if !(VERSIONS.0..=VERSIONS.1).contains(&response.version) {
        let daemon = format!("{}, version {}", response.daemon, response.version);
        return Err(version_mismatch(&request, daemon).into());
    }
    let descriptors = connection.probed(&response);
    if !descriptors && response.descriptor_credit > 0 && credit > 0 {
        // Ours passed and the daemon's did not: tell it to send none.
        request.descriptor_credit = 0;
        rpc.handshake(request).await?;
    }
    Ok(Handshake {
        version: response.version,
        daemon: response.daemon,
        pid: response.pid,
        instance: response.instance,
        descriptors,
        spawns: response.spawns,
    })
}

/// The client's part in returning credit: sends an acknowledgement if one is due. To be called after
/// claiming; it returns at once, the call goes on by itself.
///
/// # Panics
/// Outside a tokio runtime.
pub fn acknowledge(channel: &Channel, connection: &Connection) {
    let Some(request) = connection.acknowledgement_due() else {
        return;
    };
    let mut rpc = ConnectionClient::new(channel.clone());
    // An acknowledgement fails only with the connection, whose other calls report that.
    drop(uncancelled(async move { rpc.acknowledge(request).await }));
}

/// The server's side. `instance` and `daemon` are its own; `credit` is how many descriptors the
/// client may have outstanding. A second handshake is only good for turning descriptors off.
///
/// # Errors
/// [`Reason::VersionMismatch`] when there is no version in common; [`Reason::LimitReached`] when there
/// is no descriptor left to probe with.
pub fn answer_handshake(
    connection: &Connection,
    request: &HandshakeRequest,
    instance: u64,
    daemon: &str,
    credit: u32,
) -> Result<HandshakeResponse, Problem> {
    let version = request.version_max.min(VERSIONS.1);
    if version < request.version_min.max(VERSIONS.0) {
        let daemon = format!("{daemon}, versions {} to {}", VERSIONS.0, VERSIONS.1);
        return Err(version_mismatch(request, daemon));
    }
    let descriptor_credit = connection.accept(request, credit.min(MAX_CREDIT))?;
    Ok(HandshakeResponse {
        version,
        daemon: daemon.to_owned(),
        connection: connection.id(),
        instance,
        pid: std::process::id().cast_signed(),
        descriptor_credit,
        spawns: false,
    })
}

impl Connection {
    /// Client: sends the probe and is ready for the daemon's.
    fn probe(&self, credit: u32) -> Result<(), Problem> {
        let probe = if credit > 0 { Some(probe()?) } else { None };
        let mut state = self.state();
        if self.shared.side != Side::Client || state.phase != Phase::New {
            return Err(again());
        }
        state.phase = Phase::Probing;
        state.receive_credit = credit;
        if let Some(probe) = probe {
            state.outbox.push(probe);
            // The daemon may send as soon as it has answered, so all it may send and the probe can
            // be here before the answer is looked at.
            state.inbox.set_limit(credit as usize + 1);
        }
        drop(state);
        Ok(())
    }

    /// Client: the answer is there; whether descriptors pass.
    fn probed(&self, response: &HandshakeResponse) -> bool {
        let mut state = self.state();
        let probe = state.inbox.take(0);
        let credit = response.descriptor_credit.min(MAX_CREDIT);
        let descriptors = probe.is_ok() && credit > 0 && state.receive_credit > 0;
        state.id = response.connection;
        state.inbox.settle(1);
        let unclaimed = if descriptors {
            state.phase = Phase::Open;
            state.send_credit = credit;
            let allowed = state.receive_credit as usize;
            state.inbox.set_limit(allowed);
            None
        } else {
            state.phase = Phase::Without;
            state.inbox.set_limit(0);
            Some(state.inbox.clear())
        };
        drop(state);
        drop((probe, unclaimed));
        if descriptors {
            self.shared.credit.add_permits(credit as usize);
        }
        descriptors
    }

    /// Server: looks for the client's probe and sends its own; the credit to answer with.
    fn accept(&self, request: &HandshakeRequest, credit: u32) -> Result<u32, Problem> {
        let offered = request.descriptor_credit.min(MAX_CREDIT);
        let wanted = offered > 0 && credit > 0;
        let answer = if wanted { Some(probe()?) } else { None };
        let mut state = self.state();
        if self.shared.side != Side::Server || (state.phase != Phase::New && offered > 0) {
            return Err(again());
        }
        let probe = state.inbox.take(0);
        let (granted, unclaimed) = match answer {
            Some(answer) if probe.is_ok() => {
                state.outbox.push(answer);
                // The probe is off the connection when the client goes on: it takes no credit.
                state.outbox.settle(1);
                state.phase = Phase::Open;
                state.send_credit = offered;
                state.receive_credit = credit;
                state.inbox.set_limit(credit as usize);
                (credit, None)
            }
            _ => {
                state.phase = Phase::Without;
                state.inbox.set_limit(0);
                (0, Some((state.inbox.clear(), state.outbox.clear())))
            }
        };
        drop(state);
        drop((probe, unclaimed));
        if granted > 0 {
            self.shared.credit.add_permits(offered as usize);
        } else {
            // Nobody is to wait for credit that will not come.
            self.shared.credit.close();
        }
        Ok(granted)
    }
}

/// Something to send that gives nothing away: an end of a pipe.
fn probe() -> Result<OwnedFd, Problem> {
    match std::io::pipe() {
        Ok((reader, _)) => Ok(reader.into()),
        Err(error) => Err(Problem::limit("open files", error)),
    }
}

fn again() -> Problem {
    Problem::bad_request("descriptor_credit", "a connection has one handshake")
}

fn version_mismatch(request: &HandshakeRequest, daemon: String) -> Problem {
    let (client, min, max) = (&request.client, request.version_min, request.version_max);
    let client = format!("{client}, versions {min} to {max}");
    Problem::new(
        Reason::VersionMismatch,
        format!("no protocol version in common: the client is {client}, the daemon {daemon}"),
    )
    .with("client", client)
    .with("daemon", daemon)
}

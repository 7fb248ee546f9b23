//! A client that can send anything, wrong things too.

use super::spec;
use mpfork_proto::v1::admin_client::AdminClient;
use mpfork_proto::v1::fork_server_client::ForkServerClient;
use mpfork_proto::v1::run_worker_response::Event;
use mpfork_proto::v1::templates_client::TemplatesClient;
use mpfork_proto::v1::{self, Exit, Started, Template, TemplateSpec, WorkerId, WorkerSpec};
use mpfork_proto::v1::{env_directive, warm_template_response};
use mpfork_transport::Channel;
use mpfork_transport::{Connection, DEFAULT_CREDIT, Handshake, Queued, client_handshake};
use std::io::{Read as _, Seek as _};
use std::os::fd::OwnedFd;
use std::path::Path;
use tonic::{Status, Streaming};

/// The generated client of workers.
pub type Workers = ForkServerClient<Channel>;

/// A connection with everything generated for it.
#[derive(Debug)]
pub struct TestClient {
    /// For generated clients.
    pub channel: Channel,
    /// Its descriptors.
    pub connection: Connection,
    /// What the daemon said.
    pub handshake: Handshake,
}

/// A worker that was started and whose end is being told.
#[derive(Debug)]
pub struct Run {
    /// What the daemon said first.
    pub started: Started,
    /// Its pidfd.
    pub pidfd: Option<OwnedFd>,
    events: Streaming<v1::RunWorkerResponse>,
    /// What it prints, when somebody has begun to read that.
    output: Option<Lines>,
}

type Lines = tokio::io::BufReader<tokio::net::unix::pipe::Receiver>;

impl Run {
    /// Its id.
    ///
    /// # Panics
    /// When the daemon did not tell it.
    #[must_use]
    pub fn id(&self) -> WorkerId {
        self.started.worker.unwrap()
    }

    /// Its pid.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.started.pid
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When the connection breaks.
    ///
    /// # Panics
    /// When the stream has anything else in it.
    pub async fn try_exit(&mut self) -> Result<Exit, Status> {
        let Some(Event::Exited(exit)) = self.events.message().await?.unwrap().event else {
            panic!("started twice");
        };
        assert_eq!(self.events.message().await?, None);
        Ok(exit)
    }

    /// The next line it prints, after [`TestClient::run_until_line`].
    ///
    /// # Panics
    /// When it ends before.
    pub async fn line(&mut self) -> String {
        use tokio::io::AsyncBufReadExt as _;
        let mut line = String::new();
        let output = self.output.as_mut().unwrap();
        output.read_line(&mut line).await.unwrap();
        assert!(line.ends_with('\n'), "it printed {line:?} and ended");
        line.trim_end().to_owned()
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When that is not told.
    pub async fn exit(&mut self) -> Exit {
        self.try_exit().await.unwrap()
    }
}

impl TestClient {
    /// Connects and shakes hands.
    ///
    /// # Panics
    /// When that fails.
    pub async fn connect(socket: &Path) -> Self {
        Self::try_connect(socket).await.unwrap()
    }

    /// Connects and shakes hands.
    ///
    /// # Errors
    /// What the handshake says.
    ///
    /// # Panics
    /// When there is nobody.
    pub async fn try_connect(socket: &Path) -> Result<Self, Status> {
        let (channel, connection) = mpfork_transport::connect(socket).await.unwrap();
        Self::over(channel, connection).await
    }

    /// Shakes hands on a connection that is there.
    ///
    /// # Errors
    /// What the handshake says.
    pub async fn over(channel: Channel, connection: Connection) -> Result<Self, Status> {
        let name = "mpfork-tests";
        let handshake =
            client_handshake(channel.clone(), &connection, name, DEFAULT_CREDIT).await?;
        Ok(Self {
            channel,
            connection,
            handshake,
        })
    }

    /// The generated client of workers.
    #[must_use]
    pub fn workers(&self) -> Workers {
        ForkServerClient::new(self.channel.clone())
    }

    /// The generated client of templates.
    #[must_use]
    pub fn templates(&self) -> TemplatesClient<Channel> {
        TemplatesClient::new(self.channel.clone())
    }

    /// The generated client of the daemon itself.
    #[must_use]
    pub fn admin(&self) -> AdminClient<Channel> {
        AdminClient::new(self.channel.clone())
    }

    /// Sends descriptors; the message that names them must follow.
    ///
    /// # Panics
    /// When they can't be sent.
    pub async fn queue(&self, descriptors: Vec<OwnedFd>) -> Queued {
        let reservation = self.connection.reserve(descriptors.len()).await.unwrap();
        reservation.queue(descriptors).unwrap()
    }

    /// Takes a worker's pidfd.
    fn claim(&self, started: &Started) -> Option<OwnedFd> {
        let pidfd = self.connection.claim(started.pidfd.as_ref()?).unwrap();
        mpfork_transport::acknowledge(&self.channel, &self.connection);
        Some(pidfd)
    }

    /// Starts a worker.
    ///
    /// # Errors
    /// What the daemon says.
    ///
    /// # Panics
    /// When it says something else.
    pub async fn try_run(&self, spec: WorkerSpec) -> Result<Run, Status> {
        let request = v1::RunWorkerRequest { spec: Some(spec) };
        let mut events = self.workers().run_worker(request).await?.into_inner();
        let first = events.message().await?.and_then(|response| response.event);
        let Some(Event::Started(started)) = first else {
            panic!("not started: {first:?}");
        };
        Ok(Run {
            pidfd: self.claim(&started),
            started,
            events,
            output: None,
        })
    }

    /// Starts a worker.
    ///
    /// # Panics
    /// When it can't be started.
    pub async fn run(&self, spec: WorkerSpec) -> Run {
        self.try_run(spec).await.unwrap()
    }

    /// Runs a worker to its end.
    ///
    /// # Panics
    /// When it can't be started.
    pub async fn exit_of(&self, spec: WorkerSpec) -> Exit {
        self.run(spec).await.exit().await
    }

    /// Starts a worker whose standard output and error go to the writer given.
    ///
    /// # Panics
    /// When it can't be started.
    pub async fn run_into(&self, output: OwnedFd, mut spec: WorkerSpec) -> Run {
        let queued = self.queue(vec![output.try_clone().unwrap(), output]).await;
        for (descriptor, target) in queued.descriptors.iter().zip(1..) {
            spec::place(&mut spec, *descriptor, target);
        }
        self.run(spec).await
    }

    /// Runs a worker to its end, with what it printed.
    ///
    /// # Panics
    /// When it can't be started.
    pub async fn output_of(&self, spec: WorkerSpec) -> (String, Exit) {
        let mut output = tempfile::tempfile().unwrap();
        let copy = output.try_clone().unwrap().into();
        let exit = self.run_into(copy, spec).await.exit().await;
        output.rewind().unwrap();
        let mut text = String::new();
        output.read_to_string(&mut text).unwrap();
        (text, exit)
    }

    /// Starts a worker and waits until it has printed a line.
    ///
    /// # Panics
    /// When it ends before.
    pub async fn run_until_line(&self, spec: WorkerSpec) -> (Run, String) {
        let (reader, writer) = std::io::pipe().unwrap();
        let mut run = self.run_into(writer.into(), spec).await;
        let reader = tokio::net::unix::pipe::Receiver::from_owned_fd(reader.into()).unwrap();
        run.output = Some(tokio::io::BufReader::new(reader));
        let line = run.line().await;
        (run, line)
    }

    /// Starts a worker by `StartWorker`.
    ///
    /// # Errors
    /// What the daemon says.
    pub async fn start(&self, spec: WorkerSpec, detached: bool) -> Result<Started, Status> {
        let request = v1::StartWorkerRequest {
            spec: Some(spec),
            detached,
        };
        let answer = self.workers().start_worker(request).await?.into_inner();
        let started = answer.started.unwrap_or_default();
        drop(self.claim(&started));
        Ok(started)
    }

    /// Waits for a worker's end.
    ///
    /// # Errors
    /// What the daemon says.
    pub async fn wait(&self, worker: Option<WorkerId>) -> Result<Exit, Status> {
        let request = v1::WaitWorkerRequest {
            worker,
            timeout: None,
        };
        let answer = self.workers().wait_worker(request).await?.into_inner();
        Ok(answer.exit.unwrap_or_default())
    }

    /// Signals a worker.
    ///
    /// # Errors
    /// What the daemon says.
    pub async fn signal(&self, worker: WorkerId, signal: i32, group: bool) -> Result<bool, Status> {
        let request = v1::SignalWorkerRequest {
            worker: Some(worker),
            signal,
            group,
        };
        let answer = self.workers().signal_worker(request).await?.into_inner();
        Ok(answer.delivered)
    }

    /// One worker.
    ///
    /// # Errors
    /// What the daemon says.
    pub async fn get_worker(&self, worker: WorkerId) -> Result<v1::Worker, Status> {
        let request = v1::GetWorkerRequest {
            worker: Some(worker),
            memory: false,
        };
        let answer = self.workers().get_worker(request).await?.into_inner();
        Ok(answer.worker.unwrap_or_default())
    }

    /// All workers that run, or also those that have ended.
    ///
    /// # Panics
    /// When they can't be listed.
    pub async fn list_workers(&self, ended: bool) -> Vec<v1::Worker> {
        let request = v1::ListWorkersRequest {
            ended,
            ..v1::ListWorkersRequest::default()
        };
        let answer = self.workers().list_workers(request).await.unwrap();
        answer.into_inner().workers
    }

    /// Registers a template with this program and these variables; all its preloads are loaded.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn register(&self, program: &Path, env: &[(&str, &str)]) -> String {
        let spec = template(program, env);
        self.try_register(program, spec).await.unwrap().digest
    }

    /// Registers a template; the program's descriptor is added to the recipe.
    ///
    /// # Errors
    /// What the daemon says.
    ///
    /// # Panics
    /// When the program can't be opened.
    pub async fn try_register(
        &self,
        program: &Path,
        mut spec: TemplateSpec,
    ) -> Result<v1::RegisterTemplateResponse, Status> {
        let file = std::fs::File::open(program).unwrap();
        let queued = self.queue(vec![file.into()]).await;
        spec.program = queued.descriptors.first().copied();
        let request = v1::RegisterTemplateRequest { spec: Some(spec) };
        let answer = self.templates().register_template(request).await?;
        Ok(answer.into_inner())
    }

    /// Registers the test program with these variables.
    pub async fn test_template(&self, env: &[(&str, &str)]) -> String {
        self.register(&super::programs::test_program(), env).await
    }

    /// Warms a template; its news, the last of which is that it is warm.
    ///
    /// # Errors
    /// Why it can't be warmed.
    pub async fn warm(&self, template: &str) -> Result<Vec<warm_template_response::Event>, Status> {
        let request = v1::WarmTemplateRequest {
            template: template.to_owned(),
        };
        let mut events = self.templates().warm_template(request).await?.into_inner();
        let mut seen = Vec::new();
        while let Some(message) = events.message().await? {
            seen.extend(message.event);
        }
        Ok(seen)
    }

    /// One template.
    ///
    /// # Panics
    /// When there is none.
    pub async fn template(&self, template: &str) -> Template {
        let request = v1::GetTemplateRequest {
            template: template.to_owned(),
        };
        let answer = self.templates().get_template(request).await.unwrap();
        answer.into_inner().template.unwrap()
    }

    /// Reloads a template.
    ///
    /// # Errors
    /// What the daemon says.
    pub async fn reload(&self, template: &str) -> Result<Template, Status> {
        let request = v1::ReloadTemplateRequest {
            template: template.to_owned(),
        };
        let answer = self.templates().reload_template(request).await?;
        Ok(answer.into_inner().template.unwrap_or_default())
    }

    /// Removes a template.
    ///
    /// # Errors
    /// What the daemon says.
    pub async fn remove(&self, template: &str) -> Result<(), Status> {
        let request = v1::RemoveTemplateRequest {
            template: template.to_owned(),
        };
        self.templates().remove_template(request).await.map(drop)
    }

    /// How much of a limit is in use.
    ///
    /// # Panics
    /// When there is no such limit, or its use is not counted.
    pub async fn in_use(&self, limit: &str) -> u64 {
        let limits = self.status().await.limits;
        let limit = limits.iter().find(|known| known.name == limit);
        limit.unwrap().used.unwrap()
    }

    /// The daemon's status.
    ///
    /// # Panics
    /// When it does not tell.
    pub async fn status(&self) -> v1::GetStatusResponse {
        self.try_status().await.unwrap()
    }

    /// The daemon's status.
    ///
    /// # Errors
    /// What the daemon says.
    pub async fn try_status(&self) -> Result<v1::GetStatusResponse, Status> {
        let answer = self.admin().get_status(v1::GetStatusRequest {}).await?;
        Ok(answer.into_inner())
    }
}

/// A recipe, still without the program's descriptor: all preloads, and these variables.
#[must_use]
pub fn template(program: &Path, env: &[(&str, &str)]) -> TemplateSpec {
    use std::os::unix::ffi::OsStrExt as _;
    let variable = |(name, value): &(&str, &str)| env_directive::Set {
        name: (*name).into(),
        value: (*value).into(),
    };
    TemplateSpec {
        program_path: program.as_os_str().as_bytes().to_vec(),
        all_preloads: true,
        env: env.iter().map(variable).collect(),
        ..TemplateSpec::default()
    }
}

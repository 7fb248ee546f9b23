//! A supervisor that waits for everything with a limit, and checks at its end that nothing is left.
#![allow(dead_code, unreachable_pub)]

use mpfork_proto::frame::{self, FrameBuffer};
use mpfork_proto::link::{
    self, Applied, AssignedState, AssignedTask, Assignment, Exited, Fork, Hello, Preload,
    PreloadFailed, Progress, Ready, Shutdown, SupervisorFrame, Welcome, WorkerReport, ZygoteFrame,
    assigned_state::Placed, assigned_task, supervisor_frame, worker_report, zygote_frame,
};
use mpfork_proto::{Message, v1};
use mpfork_sys::spawn::{Launch, spawn};
use mpfork_sys::{fdpass, pidfd};
use mpfork_zygote::payload;
use rustix::event::{PollFd, PollFlags, Timespec};
use std::collections::VecDeque;
use std::ffi::CString;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// Longer than anything takes, on the slowest machine.
pub const LIMIT: Duration = Duration::from_secs(60);

pub const PROBE: &str = env!("CARGO_BIN_EXE_zygote-probe");
pub const CONTRADICTION: &str = env!("CARGO_BIN_EXE_zygote-contradiction");

/// One end of a socket with frames.
pub struct Wire {
    pub socket: UnixStream,
    frames: FrameBuffer,
    descriptors: VecDeque<OwnedFd>,
}

impl Wire {
    pub fn new(socket: UnixStream) -> Self {
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        Self {
            socket,
            frames: FrameBuffer::default(),
            descriptors: VecDeque::new(),
        }
    }

    /// The next frame; `None` at the end.
    pub fn receive<M: Message + Default>(&mut self) -> Option<M> {
        loop {
            if let Some(frame) = self.frames.take().unwrap() {
                return Some(frame);
            }
            let mut bytes = [0; 65536];
            let mut descriptors = Vec::new();
            let count =
                match fdpass::receive(self.socket.as_fd(), &mut bytes, &mut descriptors) {
                    Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => 0,
                    result => result.expect("nothing came in time"),
                };
            self.descriptors.extend(descriptors);
            if count == 0 {
                return None;
            }
            self.frames.extend(&bytes[..count]);
        }
    }

    pub fn send(&self, message: &impl Message, descriptors: &[BorrowedFd<'_>]) {
        self.try_send(&frame::encode(message).unwrap(), descriptors)
            .unwrap();
    }

    pub fn try_send(
        &self,
        mut bytes: &[u8],
        mut descriptors: &[BorrowedFd<'_>],
    ) -> std::io::Result<()> {
        while !bytes.is_empty() {
            let (sent, passed) = fdpass::send(self.socket.as_fd(), bytes, descriptors)?;
            bytes = &bytes[sent..];
            descriptors = &descriptors[passed..];
        }
        Ok(())
    }
}

/// A zygote and the supervisor's side of its link.
pub struct Zygote {
    pub pid: i32,
    pub pidfd: OwnedFd,
    pub link: Option<Wire>,
    output: Option<std::thread::JoinHandle<String>>,
    next: u64,
    waiting: VecDeque<zygote_frame::Frame>,
    expected: i32,
}

/// Waits until a pidfd is readable.
pub fn ended(pidfd: impl AsFd, limit: Duration) -> bool {
    let mut polled = [PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN)];
    let limit = Timespec {
        tv_sec: limit.as_secs().try_into().unwrap(),
        tv_nsec: limit.subsec_nanos().into(),
    };
    rustix::event::poll(&mut polled, Some(&limit)).unwrap() == 1
}

/// Waits until a condition holds.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !condition() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

impl Zygote {
    /// Executes a program as a zygote; nothing is said yet.
    pub fn launch(program: &str, env: &[&str]) -> Self {
        let file = File::open(program).unwrap();
        let null = File::open("/dev/null").unwrap();
        let (mut output, write) = std::io::pipe().unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let env: Vec<CString> = ["MPFORK_LINK=3"]
            .iter()
            .chain(env)
            .map(|text| CString::new(*text).unwrap())
            .collect();
        let pid = spawn(&Launch {
            program: file.as_fd(),
            argv: &[CString::new("probe").unwrap()],
            env: &env,
            input: null.as_fd(),
            output: write.as_fd(),
            link: theirs.as_fd(),
        })
        .unwrap();
        let output = std::thread::spawn(move || {
            let mut text = String::new();
            output.read_to_string(&mut text).unwrap();
            text
        });
        Self {
            pid,
            pidfd: pidfd::open(pid).unwrap(),
            link: Some(Wire::new(ours)),
            output: Some(output),
            next: 1,
            waiting: VecDeque::new(),
            expected: 0,
        }
    }

    /// A zygote that has loaded these preloads.
    pub fn ready(env: &[&str], preloads: &[&str]) -> Self {
        let mut zygote = Self::launch(PROBE, env);
        zygote.greet();
        zygote.preload(preloads).1.unwrap();
        zygote
    }

    pub fn link(&mut self) -> &mut Wire {
        self.link.as_mut().unwrap()
    }

    pub fn say(&mut self, frame: supervisor_frame::Frame, descriptors: &[BorrowedFd<'_>]) {
        let frame = SupervisorFrame {
            descriptors: descriptors.len().try_into().unwrap(),
            frame: Some(frame),
        };
        self.link().send(&frame, descriptors);
    }

    pub fn hear(&mut self) -> Option<zygote_frame::Frame> {
        let frame = self.link().receive::<ZygoteFrame>()?;
        Some(frame.frame.expect("a frame of a known kind"))
    }

    pub fn greet(&mut self) -> Welcome {
        self.greet_with(Hello {
            version_min: 1,
            version_max: 1,
            ..Hello::default()
        })
    }

    pub fn greet_with(&mut self, hello: Hello) -> Welcome {
        self.say(supervisor_frame::Frame::Hello(hello), &[]);
        match self.hear() {
            Some(zygote_frame::Frame::Welcome(welcome)) => welcome,
            other => panic!("{other:?}"),
        }
    }

    pub fn preload(&mut self, names: &[&str]) -> (Vec<Progress>, Result<Ready, PreloadFailed>) {
        self.preload_with(Preload {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            all: false,
        })
    }

    pub fn preload_with(
        &mut self,
        preload: Preload,
    ) -> (Vec<Progress>, Result<Ready, PreloadFailed>) {
        self.say(supervisor_frame::Frame::Preload(preload), &[]);
        let mut progress = Vec::new();
        loop {
            match self.hear() {
                Some(zygote_frame::Frame::Progress(frame)) => progress.push(frame),
                Some(zygote_frame::Frame::Ready(ready)) => return (progress, Ok(ready)),
                Some(zygote_frame::Frame::PreloadFailed(failed)) => {
                    self.expected = 1;
                    return (progress, Err(failed));
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// Asks for a fork; the assignment is in the worker's socket before the fork is.
    pub fn ask(&mut self, start: Start) -> (u64, Wire) {
        let worker = self.next;
        self.next += 1;
        let (ours, theirs) = UnixStream::pair().unwrap();
        let control = Wire::new(ours);
        let descriptors: Vec<BorrowedFd<'_>> =
            start.descriptors.iter().map(AsFd::as_fd).collect();
        control.send(&start.assignment(worker), &descriptors);
        self.say(
            supervisor_frame::Frame::Fork(Fork { worker }),
            &[theirs.as_fd()],
        );
        (worker, control)
    }

    /// The next frame about this worker.
    pub fn about(&mut self, worker: u64) -> zygote_frame::Frame {
        let is_about = |frame: &zygote_frame::Frame| match frame {
            zygote_frame::Frame::Forked(forked) => forked.worker == worker,
            zygote_frame::Frame::ForkFailed(failed) => failed.worker == worker,
            zygote_frame::Frame::Exited(exited) => exited.worker == worker,
            _ => false,
        };
        if let Some(index) = self.waiting.iter().position(is_about) {
            return self.waiting.remove(index).unwrap();
        }
        loop {
            let frame = self.hear().expect("the zygote is gone");
            if is_about(&frame) {
                return frame;
            }
            self.waiting.push_back(frame);
        }
    }

    pub fn start(&mut self, start: Start) -> Worker {
        let channel = start.channel_end();
        let (id, control) = self.ask(start);
        let zygote_frame::Frame::Forked(forked) = self.about(id) else {
            panic!("worker {id} was not forked");
        };
        let pidfd = self.link().descriptors.pop_front();
        Worker {
            id,
            pid: forked.pid,
            pidfd: pidfd.expect("a pidfd"),
            control,
            channel,
        }
    }

    pub fn exited(&mut self, worker: &Worker) -> Exited {
        match self.about(worker.id) {
            zygote_frame::Frame::Exited(exited) => exited,
            other => panic!("{other:?}"),
        }
    }

    /// Runs a worker to its end.
    pub fn run(&mut self, start: Start) -> Outcome {
        let mut worker = self.start(start);
        let value = worker.value();
        let reports = worker.reports();
        let exited = self.exited(&worker);
        Outcome {
            value,
            reports,
            exited,
            pid: worker.pid,
        }
    }

    /// What a function of the probe returns.
    pub fn text(&mut self, start: Start) -> String {
        let outcome = self.run(start);
        let value = outcome.value.clone();
        let value = value.unwrap_or_else(|| panic!("no value: {outcome:?}"));
        String::from_utf8(value).unwrap()
    }

    /// The zygote is to end with this code.
    pub fn expect(&mut self, code: i32) {
        self.expected = code;
    }

    /// Ends the zygote; what it has printed.
    pub fn finish(mut self) -> String {
        self.end()
    }

    fn end(&mut self) -> String {
        if let Some(mut link) = self.link.take() {
            let shutdown = SupervisorFrame {
                descriptors: 0,
                frame: Some(supervisor_frame::Frame::Shutdown(Shutdown {})),
            };
            // It may have gone already.
            let _ = link.try_send(&frame::encode(&shutdown).unwrap(), &[]);
            while link.receive::<ZygoteFrame>().is_some() {}
        }
        assert!(ended(&self.pidfd, LIMIT), "the zygote does not leave");
        let pid = nix::unistd::Pid::from_raw(self.pid);
        let status = nix::sys::wait::waitpid(pid, None).unwrap();
        let output = self.output.take().unwrap().join().unwrap();
        let expected = nix::sys::wait::WaitStatus::Exited(pid, self.expected);
        assert_eq!(status, expected, "{output}");
        eventually("the zygote's session is empty", || {
            processes_of_session(self.pid).is_empty()
        });
        output
    }
}

impl Drop for Zygote {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Whatever happened, nothing is to be left.
            for pid in processes_of_session(self.pid) {
                let pid = nix::unistd::Pid::from_raw(pid);
                let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
            }
        } else if self.output.is_some() {
            self.end();
        }
    }
}

/// The processes of a session, zombies too.
pub fn processes_of_session(session: i32) -> Vec<i32> {
    let pids = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let pid: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        (stat(pid)?.get(3)?.parse() == Ok(session)).then_some(pid)
    });
    pids.collect()
}

/// The fields of `/proc/PID/stat` from the state on: state, parent, group, session, terminal, ...
pub fn stat(pid: i32) -> Option<Vec<String>> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    Some(fields.split(' ').map(str::to_owned).collect())
}

pub struct Worker {
    pub id: u64,
    pub pid: i32,
    pub pidfd: OwnedFd,
    pub control: Wire,
    pub channel: Option<UnixStream>,
}

impl Worker {
    /// The result, if there is a channel and a result.
    pub fn value(&mut self) -> Option<Vec<u8>> {
        let channel = self.channel.take()?;
        channel.set_read_timeout(Some(LIMIT)).unwrap();
        let mut reader = payload::Reader::default();
        loop {
            match reader.step(channel.as_fd()).unwrap() {
                payload::Step::Partial => {}
                payload::Step::Payload(value) => return Some(value),
                payload::Step::End => return None,
            }
        }
    }

    /// Everything it reports, to its end.
    pub fn reports(&mut self) -> Vec<worker_report::Report> {
        let mut reports = Vec::new();
        while let Some(report) = self.control.receive::<WorkerReport>() {
            reports.push(report.report.unwrap());
        }
        reports
    }
}

/// How a worker ended.
#[derive(Debug)]
pub struct Outcome {
    pub value: Option<Vec<u8>>,
    pub reports: Vec<worker_report::Report>,
    pub exited: Exited,
    pub pid: i32,
}

impl Outcome {
    pub fn status(&self) -> i32 {
        self.exited.status.unwrap()
    }

    pub fn code(&self) -> i32 {
        match mpfork_proto::exit::Ended::from_raw(self.status()) {
            mpfork_proto::exit::Ended::Code(code) => code,
            other => panic!("{other:?} {:?}", self.reports),
        }
    }

    pub fn failure(&self) -> &v1::Failure {
        match self.reports.last() {
            Some(worker_report::Report::Failure(failure)) => failure,
            other => panic!("{other:?}"),
        }
    }

    pub fn start_failed(&self) -> &link::StartFailed {
        match self.reports.as_slice() {
            [worker_report::Report::StartFailed(failed)] => failed,
            other => panic!("{other:?}"),
        }
    }

    pub fn applied(&self) -> &Applied {
        match self.reports.first() {
            Some(worker_report::Report::Applied(applied)) => applied,
            other => panic!("{other:?}"),
        }
    }
}

/// What to start.
pub struct Start {
    pub task: assigned_task::Task,
    pub state: AssignedState,
    pub descriptors: Vec<OwnedFd>,
    pub name: String,
    channel: Option<UnixStream>,
}

impl Start {
    pub fn task(task: assigned_task::Task) -> Self {
        Self {
            task,
            state: AssignedState::default(),
            descriptors: Vec::new(),
            name: "w".to_owned(),
            channel: None,
        }
    }

    /// A registered function, whose result comes over a channel.
    pub fn function(name: &str, argument: &[u8]) -> Self {
        let target = assigned_task::function::Target::Name(name.to_owned());
        Self::target(target, argument)
    }

    pub fn target(target: assigned_task::function::Target, argument: &[u8]) -> Self {
        let mut start = Self::task(assigned_task::Task::Function(assigned_task::Function {
            target: Some(target),
            argument: argument.to_vec(),
            channel: Some(0),
        }));
        let (ours, theirs) = UnixStream::pair().unwrap();
        start.descriptors.push(theirs.into());
        start.channel = Some(ours);
        start
    }

    pub fn command(program: &str, args: &[&str]) -> Self {
        Self::task(assigned_task::Task::Command(v1::task::Command {
            program: program.into(),
            args: args.iter().map(|arg| (*arg).into()).collect(),
            arg0: None,
        }))
    }

    pub fn main(args: &[&str]) -> Self {
        let args = args.iter().map(|arg| (*arg).into()).collect();
        Self::task(assigned_task::Task::Main(v1::task::Main { args }))
    }

    pub fn env(mut self, step: v1::env_directive::Step) -> Self {
        self.state.env.push(v1::EnvDirective { step: Some(step) });
        self
    }

    pub fn set(self, name: &str, value: &str) -> Self {
        self.env(v1::env_directive::Step::Set(v1::env_directive::Set {
            name: name.into(),
            value: value.into(),
        }))
    }

    pub fn state(mut self, change: impl FnOnce(&mut AssignedState)) -> Self {
        change(&mut self.state);
        self
    }

    /// Adds a descriptor; its index.
    pub fn add(&mut self, descriptor: impl Into<OwnedFd>) -> u32 {
        self.descriptors.push(descriptor.into());
        u32::try_from(self.descriptors.len()).unwrap() - 1
    }

    /// Gives the worker a descriptor at a number.
    pub fn place(mut self, descriptor: impl Into<OwnedFd>, target: u32) -> Self {
        let index = self.add(descriptor);
        self.state.placed.push(Placed { index, target });
        self
    }

    /// Standard output and error go to a pipe, whose other end this gives.
    pub fn piped(mut self) -> (Self, std::io::PipeReader) {
        let (read, write) = std::io::pipe().unwrap();
        let index = self.add(write);
        for target in [1, 2] {
            self.state.placed.push(Placed { index, target });
        }
        (self, read)
    }

    fn channel_end(&self) -> Option<UnixStream> {
        self.channel.as_ref().map(|end| end.try_clone().unwrap())
    }

    fn assignment(&self, worker: u64) -> Assignment {
        Assignment {
            descriptors: self.descriptors.len().try_into().unwrap(),
            worker,
            task: Some(AssignedTask {
                task: Some(self.task.clone()),
            }),
            state: Some(self.state.clone()),
            name: self.name.clone(),
            id: Some(v1::WorkerId {
                instance: 0xab,
                counter: worker,
            }),
        }
    }
}

pub fn read_all(mut pipe: impl std::io::Read) -> String {
    let mut text = String::new();
    pipe.read_to_string(&mut text).unwrap();
    text
}

//! A zygote under test.

use super::{LIMIT, Outcome, PROBE, Start, Wire, Worker, ended, eventually, processes_of_session};
use mpfork_proto::frame;
use mpfork_proto::link::{
    Exited, Fork, Hello, LINK_ENV, Preload, PreloadFailed, Progress, Ready, Shutdown,
    SupervisorFrame, Welcome, ZygoteFrame, supervisor_frame, zygote_frame,
};
use mpfork_sys::pidfd;
use mpfork_sys::spawn::{Launch, spawn};
use std::collections::VecDeque;
use std::ffi::CString;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// How many arguments the zygotes' workers may have.
pub const ROOM: usize = 16;

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

impl Zygote {
    /// Executes a program as a zygote; nothing is said yet.
    pub fn launch(program: &str, env: &[&str]) -> Self {
        Self::launch_with(program, env, false)
    }

    /// The same, with malloc told to use huge pages or not.
    pub fn launch_with(program: &str, env: &[&str], huge_pages: bool) -> Self {
        Self::launch_as(program, &["probe"], env, huge_pages)
    }

    /// The same, with arguments from its name on.
    pub fn launch_as(program: &str, argv: &[&str], env: &[&str], huge_pages: bool) -> Self {
        let file = File::open(program).unwrap();
        let null = File::open("/dev/null").unwrap();
        let (mut output, write) = std::io::pipe().unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let texts = |texts: &[&str]| -> Vec<CString> {
            let texts = texts.iter().map(|text| CString::new(*text).unwrap());
            texts.collect()
        };
        let (argv, env) = (texts(argv), texts(env));
        let pid = spawn(&Launch {
            program: file.as_fd(),
            argv: &argv,
            room: ROOM,
            env: &env,
            input: null.as_fd(),
            output: write.as_fd(),
            link: theirs.as_fd(),
            variable: LINK_ENV,
            door: None,
            session: true,
            huge_pages,
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
            ..Preload::default()
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
                Some(zygote_frame::Frame::Progress(frame)) if frame.loaded => {}
                Some(zygote_frame::Frame::Progress(frame)) => progress.push(frame),
                Some(zygote_frame::Frame::Ready(ready)) => return (progress, Ok(ready)),
                Some(zygote_frame::Frame::PreloadFailed(failed)) => {
                    self.expected = 1 << 8;
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
        let descriptors: Vec<BorrowedFd<'_>> = start.descriptors.iter().map(AsFd::as_fd).collect();
        control.send(&start.assignment(worker), &descriptors);
        self.say(
            supervisor_frame::Frame::Fork(Fork {
                worker,
                ..Fork::default()
            }),
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
        self.expected = code << 8;
    }

    /// The zygote is to end by this signal.
    pub fn expect_signal(&mut self, signal: i32) {
        self.expected = signal;
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
        let reaped = mpfork_sys::wait::reap(self.pid).unwrap().unwrap();
        let output = self.output.take().unwrap().join().unwrap();
        // Whether a core was dumped depends on the machine.
        assert_eq!(reaped.status & !0x80, self.expected, "{output}");
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

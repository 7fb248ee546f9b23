//! What a worker is started with.

use mpfork_proto::link::{
    AssignedState, AssignedTask, Assignment, assigned_state::Placed, assigned_task,
};
use mpfork_proto::v1;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

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
        Self::task(assigned_task::Task::Main(v1::task::Main {
            args,
            arg0: None,
        }))
    }

    /// The program's name, as its `main` sees it.
    pub fn arg0(mut self, name: &str) -> Self {
        let assigned_task::Task::Main(main) = &mut self.task else {
            panic!("{:?} is not main", self.task);
        };
        main.arg0 = Some(name.into());
        self
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

    pub fn channel_end(&self) -> Option<UnixStream> {
        self.channel.as_ref().map(|end| end.try_clone().unwrap())
    }

    pub fn assignment(&self, worker: u64) -> Assignment {
        Assignment {
            descriptors: self.descriptors.len().try_into().unwrap(),
            way: 1,
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
            parent: None,
        }
    }
}

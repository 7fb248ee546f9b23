//! What is written and read on the way.

use crate::codec;
use criterion::{BatchSize, Criterion, Throughput};
use mpfork_proto::Message as _;
use mpfork_proto::frame::{FrameBuffer, encode};
use mpfork_proto::link::{AssignedState, AssignedTask, Assignment, assigned_task};
use mpfork_proto::v1::{Descriptor, EnvDirective, HandshakeRequest, TemplateSpec, env_directive};
use mpfork_sys::fdpass;
use mpfork_transport::{DEFAULT_CREDIT, FdStream, answer_handshake};
use serde::{Deserialize, Serialize};
use std::hint::black_box;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream as StdUnixStream;
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use tokio::runtime::Builder;

/// What a worker is told at its start: a function, and an environment as one has it.
fn assignment() -> Assignment {
    let mut block = Vec::new();
    for number in 0..40 {
        let name = format!("VARIABLE_{number}");
        mpfork_proto::environment::push(&mut block, name.as_bytes(), b"/some/path:/another/path");
    }
    let function = assigned_task::Function {
        target: Some(assigned_task::function::Target::Offset(0x1234)),
        argument: vec![7; 100],
        channel: Some(0),
    };
    Assignment {
        descriptors: 5,
        worker: 1,
        task: Some(AssignedTask {
            task: Some(assigned_task::Task::Function(function)),
        }),
        state: Some(AssignedState {
            env: vec![EnvDirective {
                step: Some(env_directive::Step::Replace(block)),
            }],
            ..AssignedState::default()
        }),
        name: "worker-1".to_owned(),
        ..Assignment::default()
    }
}

pub(crate) fn frames(criterion: &mut Criterion) {
    let assignment = assignment();
    let frame = encode(&assignment).unwrap();
    let mut group = criterion.benchmark_group("frame");
    group.throughput(Throughput::Bytes(frame.len() as u64));
    group.bench_function("encode an assignment", |bencher| {
        bencher.iter(|| encode(black_box(&assignment)).unwrap());
    });
    group.bench_function("decode an assignment", |bencher| {
        bencher.iter(|| {
            let mut buffer = FrameBuffer::default();
            buffer.extend(black_box(&frame));
            buffer.take::<Assignment>().unwrap().unwrap()
        });
    });
    group.finish();
}

/// Arguments of a function, of several kinds.
#[derive(Debug, Serialize, Deserialize)]
struct Arguments {
    text: String,
    numbers: Vec<f64>,
    pairs: Vec<(u32, String)>,
    nothing: Option<u8>,
}

pub(crate) fn arguments(criterion: &mut Criterion) {
    let arguments = Arguments {
        text: "to be or not to be".repeat(10),
        numbers: (0..100).map(f64::from).collect(),
        pairs: (0..20).map(|n| (n, n.to_string())).collect(),
        nothing: None,
    };
    let bytes = codec::encode(&arguments).unwrap();
    let mut group = criterion.benchmark_group("arguments");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("encode", |bencher| {
        bencher.iter(|| codec::encode(black_box(&arguments)).unwrap());
    });
    group.bench_function("decode", |bencher| {
        bencher.iter(|| codec::decode::<Arguments>(black_box(&bytes)).unwrap());
    });
    group.finish();
}

/// Descriptors that come with a byte on a connection, and are claimed by their numbers.
pub(crate) fn descriptors(criterion: &mut Criterion) {
    const COUNT: usize = 4;
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let (ours, theirs) = StdUnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let mut stream = {
        let _entered = runtime.enter();
        FdStream::server(UnixStream::from_std(ours).unwrap()).unwrap()
    };
    let connection = stream.connection();
    let file = tempfile::tempfile().unwrap();
    let files = [file.as_fd(); COUNT];
    // As a client does first: number 0 is the probe.
    fdpass::send(theirs.as_fd(), &[0], &files[..1]).unwrap();
    runtime.block_on(stream.read_exact(&mut [0])).unwrap();
    let request = HandshakeRequest {
        version_min: 1,
        version_max: 1,
        client: String::new(),
        descriptor_credit: DEFAULT_CREDIT,
    };
    answer_handshake(&connection, &request, 1, "", DEFAULT_CREDIT).unwrap();
    assert!(connection.carries_descriptors());
    let mut next = 1;
    criterion.bench_function("ledger: receive and claim four descriptors", |bencher| {
        bencher.iter(|| {
            let (_, sent) = fdpass::send(theirs.as_fd(), &[0], &files).unwrap();
            assert_eq!(sent, COUNT);
            runtime.block_on(stream.read_exact(&mut [0])).unwrap();
            for number in next..next + COUNT as u64 {
                let connection_id = connection.id();
                let claimed = connection.claim(&Descriptor {
                    connection: connection_id,
                    number,
                });
                claimed.unwrap();
            }
            next += COUNT as u64;
        });
    });
}

/// A recipe checked and digested, from the open program on.
pub(crate) fn digest(criterion: &mut Criterion) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let (ours, _theirs) = StdUnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let connection = {
        let _entered = runtime.enter();
        let stream = FdStream::server(UnixStream::from_std(ours).unwrap());
        stream.unwrap().connection()
    };
    let program = std::env::current_exe().unwrap();
    let recipe = TemplateSpec {
        program_path: program.into_os_string().into_encoded_bytes(),
        args: vec![b"--serve".to_vec()],
        all_preloads: true,
        env: vec![env_directive::Set {
            name: b"MODEL".to_vec(),
            value: b"/srv/model".to_vec(),
        }],
        ..TemplateSpec::default()
    };
    let bytes = recipe.encode_to_vec();
    criterion.bench_function("digest of a recipe", |bencher| {
        bencher.iter_batched(
            || bytes.clone(),
            |bytes| {
                mpforkd::checks::recipe(&bytes, &connection)
                    .unwrap()
                    .unwrap()
            },
            BatchSize::SmallInput,
        );
    });
}

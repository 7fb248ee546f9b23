//! Compiles the protocol definitions without `protoc`.

use prost::Message as _;

const FILES: &[&str] = &[
    "mpfork/v1/connection.proto",
    "mpfork/v1/forkserver.proto",
    "mpfork/v1/templates.proto",
    "mpfork/v1/logs.proto",
    "mpfork/v1/admin.proto",
    "mpfork/v1/events.proto",
    "mpfork/v1/errors.proto",
    "mpfork/link/link.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = protox::compile(FILES, ["proto"])?;
    let out = std::path::PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), files.encode_to_vec())?;
    let grpc = std::env::var_os("CARGO_FEATURE_GRPC").is_some();
    tonic_prost_build::configure()
        .build_client(grpc)
        .build_server(grpc)
        .build_transport(false)
        .codec_path("crate::codec::Codec")
        .compile_fds(files)?;
    Ok(())
}

//! Compiles the calls, without protoc.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=storage.proto");
    let calls = protox::compile(["storage.proto"], ["."])?;
    Ok(tonic_prost_build::configure().compile_fds(calls)?)
}

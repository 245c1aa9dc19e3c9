//! What an idle connection costs the server: resident memory before and after so many have said
//! Hello and fallen silent.

use std::io::{Read, Write};
use std::net::TcpStream;

use clap::Args;
use sutra_wire::{ClientHello, FrameBuffer, Header, NO_CORE, Opcode, SERVER_HELLO_BYTES, encode_archive};

use crate::Outcome;
use crate::process::Running;

#[derive(Args)]
pub(crate) struct Options {
    /// How many connections
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
    /// The server's CPU
    #[arg(long, default_value_t = 0)]
    server_cpu: usize,
}

pub(crate) fn run(options: &Options) -> Outcome {
    let server = Running::sutra(options.server_cpu, &[])?;
    let hello = hello();
    let mut open = Vec::with_capacity(options.connections);
    // The first hundred pay for what all share.
    for _ in 0..100 {
        open.push(connect(&server, &hello)?);
    }
    let before = server.resident()?;
    while open.len() < options.connections {
        open.push(connect(&server, &hello)?);
    }
    let after = server.resident()?;
    let each = after.saturating_sub(before) as f64 / (options.connections - 100) as f64;
    println!(
        "{} idle connections: server memory {before} -> {after} bytes, {each:.0} bytes a connection",
        options.connections
    );
    Ok(())
}

fn hello() -> FrameBuffer {
    let mut frame = FrameBuffer::new();
    let header = Header { opcode: Opcode::Hello as u8, ..Header::default() };
    encode_archive(&mut frame, header, &ClientHello::new(NO_CORE));
    frame
}

fn connect(server: &Running, hello: &[u8]) -> Outcome<TcpStream> {
    let mut stream = TcpStream::connect(server.address)?;
    stream.write_all(hello)?;
    stream.read_exact(&mut [0; SERVER_HELLO_BYTES])?;
    Ok(stream)
}

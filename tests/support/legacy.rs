//! A connection of an old client, which knows frames and no encoding.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::PATIENCE;

/// A connection of an old client.
pub struct Legacy {
    pub stream: TcpStream,
}

impl Legacy {
    pub fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        // Fails instead of hanging; no test relies on its length.
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream }
    }

    pub fn send(&mut self, message: &[u8]) {
        let prefix = u32::try_from(message.len()).unwrap().to_be_bytes();
        // In two segments, as old clients do.
        self.stream.write_all(&prefix).unwrap();
        self.stream.write_all(message).unwrap();
    }

    pub fn reply(&mut self) -> Vec<u8> {
        let mut prefix = [0; 4];
        self.stream.read_exact(&mut prefix).unwrap();
        let mut reply = vec![0; u32::from_be_bytes(prefix) as usize];
        self.stream.read_exact(&mut reply).unwrap();
        reply
    }

    pub fn ask(&mut self, message: &[u8]) -> Vec<u8> {
        self.send(message);
        self.reply()
    }
}

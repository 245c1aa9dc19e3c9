//! Which files of a `serve --import` the store has imported before.
//!
//! A file is known again by a digest of its bytes and of those of the embeddings beside it,
//! whatever it is called now. It is remembered when all of it is durable. So an import that was
//! interrupted is done again, and a file that was changed is new.

use std::fs::File;
use std::io::{self, ErrorKind, Read};

use md5::{Digest, Md5};
use sutra_client::Client;
use sutra_server::{ImportRecord, MAX_IMPORTS};

use super::input::{Input, stopped};
use super::stop::Stop;
use crate::exit::Failure;

/// How much is read at a time.
const CHUNK: usize = 256 << 10;

/// The files of an import, and which of them the store was given before.
pub(super) struct Before<'a> {
    record: &'a ImportRecord,
    digests: Vec<String>,
    known: Vec<bool>,
}

impl<'a> Before<'a> {
    pub(super) fn of(
        inputs: &[Input],
        record: &'a ImportRecord,
        stop: &Stop,
    ) -> Result<Self, Failure> {
        if inputs.len() > MAX_IMPORTS {
            return Err(Failure::Usage(format!(
                "{} files are too many, as a store remembers {MAX_IMPORTS}: \
                 merge some of them, or use `sutra import`",
                inputs.len()
            )));
        }
        let digests: Vec<String> =
            inputs.iter().map(|input| digest(input, stop)).collect::<Result<_, _>>()?;
        let known = record.known(&digests);
        Ok(Self { record, digests, known })
    }

    /// Whether the store was given this file.
    pub(super) fn has(&self, at: usize) -> bool {
        self.known[at]
    }

    /// Has the store remember all of them. First everything that was written is made durable: with
    /// a relaxed durability a power cut could otherwise leave a store that has lost a file's
    /// records and remembers it as imported.
    pub(super) async fn remember(self, client: &Client) -> Result<(), Failure> {
        client.flush().await?;
        Ok(self.record.remember(self.digests)?)
    }
}

fn digest(input: &Input, stop: &Stop) -> Result<String, Failure> {
    let mut digest = Md5::new();
    let mut add = |file: io::Result<File>| -> Result<bool, Failure> {
        let cannot = |error: io::Error| {
            Failure::Usage(format!("cannot read {}: {error}", input.path.display()))
        };
        let mut file = match file {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            file => file.map_err(cannot)?,
        };
        let mut chunk = vec![0; CHUNK];
        loop {
            stopped(stop)?;
            let count = file.read(&mut chunk).map_err(cannot)?;
            if count == 0 {
                return Ok(true);
            }
            digest.update(&chunk[..count]);
        }
    };
    add(input.bytes())?;
    if input.has_a_place() && !add(File::open(input.own_embeddings()))? {
        add(File::open(input.shared_embeddings()))?;
    }
    Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

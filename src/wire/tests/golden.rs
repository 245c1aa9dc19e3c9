//! The published bytes of version 1 stand still: `tests/golden/wire-v1.txt` holds them, written
//! down once. A layout that moves (a field, an rkyv release, a Cargo feature that some dependency
//! sets) fails here by the name of its type.
//!
//! A published type is never mended by editing the file: a new layout is a new type under a new
//! opcode. A type that is new gets a new section; the failing test prints it.

#![allow(clippy::unwrap_used)]

#[macro_use]
#[path = "support/published.rs"]
mod published;
#[path = "support/samples.rs"]
mod samples;
#[path = "support/sections.rs"]
mod sections;

use std::fmt::{Debug, Write};

use rkyv::api::high::{HighDeserializer, HighSerializer, HighValidator};
use rkyv::bytecheck::CheckBytes;
use rkyv::rancor::Error;
use rkyv::ser::allocator::ArenaHandle;
use rkyv::util::AlignedVec;
use rkyv::{Archive, Deserialize, Portable, Serialize};
use sutra_wire::grid::*;
use sutra_wire::*;

use samples::Samples;
use sections::{GOLDEN, sections};

/// Holds what this build makes against the file, and collects everything that differs.
struct Book {
    golden: Vec<(&'static str, Vec<u8>)>,
    seen: Vec<String>,
    complaints: Vec<String>,
}

impl Book {
    fn open() -> Self {
        Self { golden: sections(GOLDEN), seen: Vec::new(), complaints: Vec::new() }
    }

    /// The golden bytes under this title, where they are what this build makes.
    fn hold(&mut self, title: String, note: &str, made: &[u8]) -> Option<Vec<u8>> {
        let golden =
            self.golden.iter().find(|(known, _)| *known == title).map(|(_, bytes)| bytes.clone());
        match &golden {
            None => self.complaints.push(format!(
                "{title}: not in the file; it would read\n{}",
                text(&title, note, made)
            )),
            Some(golden) if golden != made => self.complaints.push(format!(
                "{title}: HAS MOVED. The file has {} bytes, this build makes {}; \
                 the first difference is at byte {}. It makes\n{}",
                golden.len(),
                made.len(),
                golden.iter().zip(made).take_while(|(one, other)| one == other).count(),
                text(&title, note, made),
            )),
            Some(_) => {}
        }
        self.seen.push(title);
        golden.filter(|golden| golden == made)
    }

    /// The type's samples make the golden bytes, and the golden bytes read back as the samples.
    fn hold_type<T>(&mut self)
    where
        T: Samples
            + Debug
            + PartialEq
            + Archive
            + for<'a> Serialize<HighSerializer<AlignedVec, ArenaHandle<'a>, Error>>,
        T::Archived: Portable
            + for<'a> CheckBytes<HighValidator<'a, Error>>
            + Deserialize<T, HighDeserializer<Error>>,
    {
        for (label, value) in T::samples() {
            let made = rkyv::to_bytes::<Error>(&value).unwrap();
            let title = format!("{}, {label}", T::TYPE);
            let Some(golden) = self.hold(title.clone(), &format!("{value:?}"), &made) else {
                continue;
            };
            match rkyv::from_bytes::<T, Error>(&aligned(&golden)) {
                Ok(read) if read == value => {}
                other => {
                    self.complaints.push(format!(
                        "{title}: the golden bytes read back as {other:?}, not {value:?}"
                    ));
                }
            }
        }
    }

    fn close(self) {
        let strays: Vec<_> = self
            .golden
            .iter()
            .filter(|(title, _)| !self.seen.iter().any(|seen| seen == title))
            .collect();
        assert!(
            self.complaints.is_empty(),
            "tests/golden/wire-v1.txt:\n\n{}",
            self.complaints.join("\n")
        );
        assert!(strays.is_empty(), "sections that no value stands for any more: {strays:?}");
        assert_eq!(self.seen.len(), self.golden.len(), "a title stands in the file twice");
    }
}

fn aligned(bytes: &[u8]) -> FrameBuffer {
    let mut buffer = FrameBuffer::with_capacity(bytes.len());
    buffer.extend_from_slice(bytes);
    buffer
}

/// A section as the file has it.
fn text(title: &str, note: &str, bytes: &[u8]) -> String {
    let mut text = format!("# {title}\n#   {note}\n");
    for line in bytes.chunks(16) {
        line.iter().for_each(|byte| write!(text, "{byte:02x}").unwrap());
        text.push('\n');
    }
    text
}

fn sample<T: Samples>(label: &str) -> T {
    T::samples().into_iter().find(|(known, _)| *known == label).unwrap().1
}

fn header(opcode: Opcode, request: u64) -> Header {
    Header { opcode: opcode as u8, request, ..Header::default() }
}

/// A frame as it travels: title, note, bytes.
type Published = (&'static str, &'static str, FrameBuffer);

fn frame(
    title: &'static str,
    note: &'static str,
    encode: impl FnOnce(&mut FrameBuffer),
) -> Published {
    let mut out = FrameBuffer::new();
    encode(&mut out);
    (title, note, out)
}

fn frames() -> Vec<Published> {
    vec![
        frame(
            "Frame, a client's Hello",
            "opcode hello, request 1, payload: ClientHello, any core",
            |out| encode_archive(out, header(Opcode::Hello, 1), &sample::<ClientHello>("any core")),
        ),
        frame(
            "Frame, a server's Hello",
            "opcode hello, request 1, payload: ServerHello, all fields",
            |out| {
                encode_archive(out, header(Opcode::Hello, 1), &sample::<ServerHello>("all fields"));
            },
        ),
        frame(
            "Frame, a learn with a deadline and a checksum",
            "request 2, 10 s, payload: ConceptRecord, strings inline",
            |out| {
                let header =
                    Header { flags: CHECKSUM, extra: 10_000_000, ..header(Opcode::Learn, 2) };
                encode_archive(out, header, &sample::<ConceptRecord>("strings inline"));
            },
        ),
        frame(
            "Frame, a learn's ok",
            "request 2, sequence 0x0807060504030201 in extra, no payload",
            |out| {
                let header = Header { extra: 0x0807_0605_0403_0201, ..header(Opcode::Learn, 2) };
                encode_empty(out, header);
            },
        ),
        frame("Frame, not found", "opcode query, request 3, status 1, no payload", |out| {
            let status = Status::NotFound as u8;
            encode_empty(out, Header { status, ..header(Opcode::Query, 3) });
        }),
        frame(
            "Frame, an error",
            "opcode learn, request 4, status 23, payload: ErrorMessage, nine bytes",
            |out| {
                let status = Status::InvalidArgument as u8;
                let message = sample::<ErrorMessage>("nine bytes, the shortest out of line");
                encode_archive(out, Header { status, ..header(Opcode::Learn, 4) }, &message);
            },
        ),
        frame(
            "Frame, a part with padding",
            "opcode neighbors, request 5, more parts and a checksum, payload: 7 bytes",
            |out| {
                let header = Header { flags: MORE | CHECKSUM, ..header(Opcode::Neighbors, 5) };
                encode_bytes(out, header, b"sutra-7");
            },
        ),
    ]
}

macro_rules! hold_types {
    (($book:ident) $($role:ident { $($of:ident: $archived:ident $fields:tt)* })*) => {
        $($($book.hold_type::<$of>();)*)*
    };
}

#[test]
fn every_published_byte_stands_still_and_reads_back() {
    let mut book = Book::open();
    book.hold(
        "FINGERPRINT, version 1".into(),
        "the schema's hash, as Hello carries it",
        &FINGERPRINT.to_le_bytes(),
    );
    let header = Header {
        opcode: 0x20,
        status: 0x16,
        flags: CHECKSUM | MORE,
        request: 0x0807_0605_0403_0201,
        length: 0x1413_1211,
        checksum: 0x2423_2221,
        extra: 0x3837_3635_3433_3231,
    };
    if let Some(golden) =
        book.hold("Header, all fields".into(), &format!("{header:?}"), &header.encode())
    {
        assert_eq!(Header::decode(golden.as_slice().try_into().unwrap()), Ok(header));
    }
    for (title, note, made) in frames() {
        book.hold(title.into(), note, &made);
    }
    published!(hold_types!(book));
    book.close();
}

#[test]
fn golden_frames_parse_to_the_headers_and_payloads_that_made_them() {
    let golden_frames: Vec<_> =
        sections(GOLDEN).into_iter().filter(|(title, _)| title.starts_with("Frame, ")).collect();
    assert_eq!(golden_frames.len(), frames().len());
    for (title, golden) in golden_frames {
        let golden = aligned(&golden);
        let Ok(Parsed::Frame(frame, used)) = parse(&golden, limits::MAX_PAYLOAD) else {
            panic!("{title}: {:?}", parse(&golden, limits::MAX_PAYLOAD));
        };
        assert_eq!(used, golden.len(), "{title}");
        let mut again = FrameBuffer::new();
        encode_bytes(&mut again, frame.header, frame.payload);
        assert_eq!(again.as_slice(), golden.as_slice(), "{title}");
    }
}

#[test]
fn a_hello_has_the_same_length_whatever_it_says() {
    for (title, length) in [
        ("Frame, a client's Hello", CLIENT_HELLO_BYTES),
        ("Frame, a server's Hello", SERVER_HELLO_BYTES),
    ] {
        let golden = sections(GOLDEN).into_iter().find(|(known, _)| *known == title).unwrap().1;
        assert_eq!(golden.len(), length, "{title}");
    }
    for (label, hello) in ClientHello::samples() {
        let mut out = FrameBuffer::new();
        encode_archive(&mut out, Header::default(), &hello);
        assert_eq!(out.len(), CLIENT_HELLO_BYTES, "{label}");
    }
}

/// A sample's numbers, handed over in two pieces.
struct InPieces<'a>(&'a [f32]);

impl Numbers for InPieces<'_> {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn write<E>(&self, mut write: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let bytes: Vec<u8> = self.0.iter().flat_map(|number| number.to_le_bytes()).collect();
        let (one, other) = bytes.split_at(bytes.len() / 3);
        write(one)?;
        write(other)
    }
}

/// The section of this sample, against the archive of its parts.
fn same_bytes<T, P>(label: &str, parts: &P)
where
    T: Samples,
    P: for<'a> Serialize<HighSerializer<AlignedVec<16>, ArenaHandle<'a>, Error>>,
{
    let title = format!("{}, {label}", T::TYPE);
    let golden = sections(GOLDEN).into_iter().find(|(known, _)| *known == title).unwrap().1;
    let mut made = FrameBuffer::new();
    archive(&mut made, parts);
    assert_eq!(made.as_slice(), golden, "{title}, from parts");
}

#[test]
fn records_archived_from_parts_are_the_published_bytes() {
    for (label, record) in ConceptRecord::samples() {
        let parts = ConceptRecordRef {
            id: record.id,
            namespace: &record.namespace,
            name: &record.name,
            content: &record.content,
            embedding: InPieces(&record.embedding),
            strength: record.strength,
            confidence: record.confidence,
            created: record.created,
            updated: record.updated,
        };
        same_bytes::<ConceptRecord, _>(label, &parts);
    }
    for (label, record) in AssociationRecord::samples() {
        let parts = AssociationRecordRef {
            source: record.source,
            target: record.target,
            namespace: &record.namespace,
            kind: record.kind,
            confidence: record.confidence,
            created: record.created,
            updated: record.updated,
        };
        same_bytes::<AssociationRecord, _>(label, &parts);
    }
}

#[test]
fn requests_archived_from_parts_are_the_published_bytes() {
    for (label, ConceptKey { id, namespace }) in ConceptKey::samples() {
        same_bytes::<ConceptKey, _>(label, &ConceptKeyRef { id, namespace: &namespace });
    }
    for (label, AssociationKey { source, target, namespace, kind }) in AssociationKey::samples() {
        let parts = AssociationKeyRef { source, target, namespace: &namespace, kind };
        same_bytes::<AssociationKey, _>(label, &parts);
    }
    for (label, ConceptsRequest { namespace, limit, cursor }) in ConceptsRequest::samples() {
        let parts = ConceptsRequestRef { namespace: &namespace, limit, cursor };
        same_bytes::<ConceptsRequest, _>(label, &parts);
    }
    for (label, request) in NeighborsRequest::samples() {
        let parts = NeighborsRequestRef {
            id: request.id,
            namespace: &request.namespace,
            kinds: &request.kinds,
            minimum_confidence: request.minimum_confidence,
            limit: request.limit,
            cursor: request.cursor,
            direction: request.direction,
        };
        same_bytes::<NeighborsRequest, _>(label, &parts);
    }
    for (label, request) in PathRequest::samples() {
        let parts = PathRequestRef {
            start: request.start,
            end: request.end,
            namespace: &request.namespace,
            kinds: &request.kinds,
            max_depth: request.max_depth,
            alternatives: request.alternatives,
            max_visited: request.max_visited,
            direction: request.direction,
            mode: request.mode,
        };
        same_bytes::<PathRequest, _>(label, &parts);
    }
    for (label, request) in SearchRequest::samples() {
        let parts = SearchRequestRef {
            namespace: &request.namespace,
            vector: InPieces(&request.vector),
            k: request.k,
            ef_search: request.ef_search,
            minimum_strength: request.minimum_strength,
            minimum_confidence: request.minimum_confidence,
            near: request.near.clone(),
            exact: request.exact,
        };
        same_bytes::<SearchRequest, _>(label, &parts);
    }
}

//! Bytes from anybody: whatever they are, the wire neither panics nor reads outside the slice that
//! it was given nor allocates more than it was given, and what it accepts can be read in full.
//!
//! Three sources: any bytes, valid archives damaged at random, and valid archives damaged
//! everywhere (every cut, every bit). Over-reads show in two ways: a verdict that depends on what
//! lies around the slice, and, under a sanitizer or Miri, a read beyond an allocation of exactly
//! the slice's length.

#![allow(clippy::unwrap_used)]

#[path = "support/damage.rs"]
mod damage;
#[path = "support/probe.rs"]
mod probe;
#[path = "support/samples.rs"]
mod samples;
#[macro_use]
#[path = "support/walk.rs"]
mod walk;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use rkyv::rancor::Error;
use sutra_testing::allocations::{Counting, Requested, counted};
use sutra_wire::grid::*;
use sutra_wire::*;

use damage::{Damage, damage};
use probe::{Probed, exact, probe};
use samples::Samples;
use walk::walk;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What a refusal may allocate beside the input's length: the validator's error, made a second time
/// for its text, the trace as text, and that text on one line. All of fixed kinds and depth, so
/// bounded whatever the input is.
const MESSAGE_BYTES: usize = 2048;

/// What copying a value out may allocate for each byte of its archive: an archived path is 16
/// bytes, an owned one 48.
const OWNED_PER_ARCHIVED: usize = 3;

/// What validation says of the bytes with `around` on either side of them. Run twice with other
/// surroundings it must say the same: it looks at nothing outside the slice.
fn judge_amid<T: Probed>(
    bytes: &[u8],
    around: u8,
    buffer: &mut FrameBuffer,
) -> Result<u64, PayloadError> {
    const MARGIN: usize = 64;
    buffer.clear();
    buffer.resize(MARGIN, around);
    buffer.extend_from_slice(bytes);
    buffer.resize(MARGIN + bytes.len() + MARGIN, around);
    Checked::<T>::new(&buffer[MARGIN..MARGIN + bytes.len()]).map(walk)
}

/// Runs `$each::<T>($($argument),*)` for every payload type of the wire.
macro_rules! for_every_payload {
    ($each:ident$arguments:tt) => {
        published!(each_payload!($each $arguments))
    };
}

macro_rules! each_payload {
    (($each:ident $arguments:tt)
        requests { $($request:ident: $archived_request:ident $request_fields:tt)* }
        replies { $($reply:ident: $archived_reply:ident $reply_fields:tt)* }
        parts $parts:tt
    ) => {{
        $($each::<$request>$arguments;)*
        $($each::<$reply>$arguments;)*
    }};
}

/// A message without what it quotes, which is the sender's and may be anything: a quote within it
/// is escaped.
fn unquoted(message: &str) -> String {
    let (mut kept, mut quoted, mut escaped) = (String::new(), false, false);
    for character in message.chars() {
        match character {
            '"' if !escaped => quoted = !quoted,
            _ if !quoted => kept.push(character),
            _ => {}
        }
        escaped = quoted && character == '\\' && !escaped;
    }
    kept
}

/// Holds the bytes, as an archive of `T`, to every promise.
fn hold<T: Probed>(bytes: &[u8]) {
    let buffer = exact(bytes);
    let (verdict, allocated) = counted(|| Checked::<T>::new(&buffer));
    match verdict {
        Ok(checked) => {
            assert_eq!(allocated.times, 0, "accepting a {} allocates nothing", T::NAME);
            let (_, allocated) = counted(|| checked.to_owned());
            assert!(
                allocated.bytes <= OWNED_PER_ARCHIVED * bytes.len(),
                "{}: {allocated:?} for {} bytes",
                T::NAME,
                bytes.len()
            );
        }
        Err(error) => {
            assert!(
                allocated.bytes <= bytes.len() + MESSAGE_BYTES,
                "{}: {allocated:?} for {error}",
                T::NAME
            );
            assert!(!error.to_string().contains('\n'), "one line: {error}");
            assert!(
                !unquoted(&error.to_string()).contains("0x"),
                "no address of this process: {error}"
            );
            // What the library says of an error whose words were left out of the build, as a
            // release build does.
            assert!(!error.to_string().contains("rancor"), "words of our own: {error}");
        }
    }
    let mut surrounded = FrameBuffer::with_capacity(bytes.len() + 128);
    let amid_zeros = judge_amid::<T>(bytes, 0x00, &mut surrounded);
    let amid_ones = judge_amid::<T>(bytes, 0xff, &mut surrounded);
    assert_eq!(amid_zeros, amid_ones, "{} judged by bytes outside the slice", T::NAME);
    assert_eq!(probe::<T>(bytes), amid_ones.is_ok());
    assert_eq!(View::<T>::new(SharedBytes::whole(buffer)).is_ok(), amid_ones.is_ok());
}

fn archives<T: Probed + Samples>() -> Vec<FrameBuffer> {
    T::samples().iter().map(|(_, value)| rkyv::to_bytes::<Error>(value).unwrap()).collect()
}

fn damaged<T: Probed + Samples>(which: Index, damages: &[Damage]) {
    let archives = archives::<T>();
    let mut bytes = which.get(&archives).to_vec();
    damages.iter().for_each(|damage| damage.inflict(&mut bytes));
    hold::<T>(&bytes);
}

fn number() -> impl Strategy<Value = f32> {
    any::<f32>().prop_filter("records hold finite numbers", |number| number.is_finite())
}

fn name() -> impl Strategy<Value = String> {
    vec(any::<char>(), 0..24).prop_map(|characters| characters.into_iter().collect())
}

fn given_id() -> impl Strategy<Value = [u8; 16]> {
    any::<[u8; 16]>().prop_filter("the id of nothing", |id| *id != [0; 16])
}

fn concept_record() -> impl Strategy<Value = ConceptRecord> {
    let texts = (name(), name(), vec(any::<char>(), 0..300));
    let numbers = (vec(number(), 0..40), number(), 0.0..=1.0f32, any::<u64>(), any::<u64>());
    (given_id(), texts, numbers).prop_map(|(id, (namespace, name, content), numbers)| {
        let (embedding, strength, confidence, created, updated) = numbers;
        let content = content.into_iter().collect();
        let strength = strength.abs();
        ConceptRecord {
            id,
            namespace,
            name,
            content,
            embedding,
            strength,
            confidence,
            created,
            updated,
        }
    })
}

fn association_record() -> impl Strategy<Value = AssociationRecord> {
    (given_id(), given_id(), name(), any::<u32>(), 0.0..=1.0f32, any::<u64>(), any::<u64>())
        .prop_map(|(source, target, namespace, kind, confidence, created, updated)| {
            AssociationRecord { source, target, namespace, kind, confidence, created, updated }
        })
}

/// Headers that get past the first checks often enough to reach the later ones.
fn frame_start() -> impl Strategy<Value = Vec<u8>> {
    let kept =
        (any::<[u8; HEADER_BYTES]>(), 0..=(CHECKSUM | MORE), prop_oneof![0..600u32, any::<u32>()]);
    let plausible = kept.prop_map(|(mut bytes, flags, length)| {
        bytes[..2].copy_from_slice(&MAGIC.to_le_bytes());
        bytes[2] = VERSION;
        bytes[5] = flags;
        bytes[6..8].fill(0);
        bytes[16..20].copy_from_slice(&length.to_le_bytes());
        bytes.to_vec()
    });
    prop_oneof![3 => plausible, 1 => vec(any::<u8>(), 0..64)]
}

/// Holds a buffer's start, as a frame, to every promise.
fn hold_frame(bytes: &[u8], limit: u32) {
    let (parsed, allocated) = counted(|| parse(bytes, limit));
    assert_eq!(allocated.times, 0, "parsing allocates nothing");
    match parsed {
        Ok(Parsed::Frame(frame, used)) => {
            assert!(used <= bytes.len() && used.is_multiple_of(16));
            assert!(frame.header.length <= limit);
            assert_eq!(
                frame.payload,
                &bytes[HEADER_BYTES..HEADER_BYTES + frame.header.length as usize]
            );
            assert_eq!(
                parse(&bytes[..used], limit),
                parsed,
                "nothing behind the frame is looked at"
            );
        }
        Ok(Parsed::Partial(needed)) => {
            assert!(
                needed > bytes.len()
                    && needed <= HEADER_BYTES + (limit as usize).next_multiple_of(16)
            );
        }
        Err(error) => assert!(error.status().is_error()),
    }
    if let Some(head) = bytes.first_chunk::<HEADER_BYTES>() {
        let (header, allocated) = counted(|| Header::decode(head));
        assert_eq!(allocated.times, 0, "decoding allocates nothing");
        if let Ok(header) = header {
            assert_eq!(
                &header.encode(),
                head,
                "a header that is accepted holds nothing that is not read"
            );
        }
    }
}

proptest! {
    // A failure prints its smallest case, which becomes a test of its own; nothing is written into
    // the source tree.
    #![proptest_config(ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    #[cfg_attr(
        miri,
        ignore = "thousands of random cases take Miri hours; the tests below walk the same paths"
    )]
    fn any_bytes_are_a_frame_a_beginning_or_an_error(
        start in frame_start(), rest in vec(any::<u8>(), 0..700), limit in 0..1000u32,
    ) {
        hold_frame(&[start, rest].concat(), limit);
    }

    #[test]
    #[cfg_attr(
        miri,
        ignore = "thousands of random cases take Miri hours; the tests below walk the same paths"
    )]
    fn frames_read_back_from_a_run_as_they_were_written(
        payloads in vec((any::<u8>(), any::<u64>(), any::<bool>(), vec(any::<u8>(), 0..100)), 0..8),
    ) {
        let mut out = FrameBuffer::new();
        for (opcode, request, checksum, payload) in &payloads {
            let flags = if *checksum { CHECKSUM } else { 0 };
            let (opcode, request) = (*opcode, *request);
            let header = Header { opcode, request, flags, ..Header::default() };
            encode_bytes(&mut out, header, payload);
        }
        let mut rest: &[u8] = &out;
        for (opcode, request, _, payload) in &payloads {
            let Ok(Parsed::Frame(frame, used)) = parse(rest, 100) else {
                panic!("{:?}", parse(rest, 100))
            };
            let Header { opcode: read_opcode, request: read_request, .. } = frame.header;
            assert_eq!(
                (read_opcode, read_request, frame.payload),
                (*opcode, *request, &payload[..])
            );
            rest = &rest[used..];
        }
        assert_eq!(rest.len(), 0);
    }

    #[test]
    #[cfg_attr(
        miri,
        ignore = "thousands of random cases take Miri hours; the tests below walk the same paths"
    )]
    fn any_bytes_as_any_payload_are_refused_or_can_be_read(bytes in vec(any::<u8>(), 0..400)) {
        for_every_payload!(hold(&bytes));
    }

    #[test]
    #[cfg_attr(
        miri,
        ignore = "thousands of random cases take Miri hours; the tests below walk the same paths"
    )]
    fn damaged_archives_are_refused_or_can_be_read(
        which in any::<Index>(), damages in vec(damage(), 1..6),
    ) {
        for_every_payload!(damaged(which, &damages));
    }

    #[test]
    #[cfg_attr(
        miri,
        ignore = "thousands of random cases take Miri hours; the tests below walk the same paths"
    )]
    fn concept_records_survive_being_archived(
        record in concept_record(), damages in vec(damage(), 1..4),
    ) {
        let mut bytes = rkyv::to_bytes::<Error>(&record).unwrap();
        assert_eq!(Checked::<ConceptRecord>::new(&bytes).unwrap().to_owned(), record);
        hold::<ConceptRecord>(&bytes);
        let timed = ConceptRecord { created: !record.created, updated: !record.updated, ..record };
        let original = bytes.clone();
        let checked = Checked::<ConceptRecord>::new(&original).unwrap();
        checked.write_times(&mut bytes, timed.created, timed.updated);
        assert_eq!(Checked::<ConceptRecord>::new(&bytes).unwrap().to_owned(), timed);
        let mut bytes = bytes.to_vec();
        damages.iter().for_each(|damage| damage.inflict(&mut bytes));
        hold::<ConceptRecord>(&bytes);
    }

    #[test]
    #[cfg_attr(
        miri,
        ignore = "thousands of random cases take Miri hours; the tests below walk the same paths"
    )]
    fn association_records_survive_being_archived(
        record in association_record(), damages in vec(damage(), 1..4),
    ) {
        let mut bytes = rkyv::to_bytes::<Error>(&record).unwrap();
        assert_eq!(Checked::<AssociationRecord>::new(&bytes).unwrap().to_owned(), record);
        hold::<AssociationRecord>(&bytes);
        let (created, updated) = (!record.created, !record.updated);
        let timed = AssociationRecord { created, updated, ..record };
        let original = bytes.clone();
        let checked = Checked::<AssociationRecord>::new(&original).unwrap();
        checked.write_times(&mut bytes, timed.created, timed.updated);
        assert_eq!(Checked::<AssociationRecord>::new(&bytes).unwrap().to_owned(), timed);
        let mut bytes = bytes.to_vec();
        damages.iter().for_each(|damage| damage.inflict(&mut bytes));
        hold::<AssociationRecord>(&bytes);
    }
}

/// Miri takes a millisecond where the machine takes a microsecond: it gets every seventeenth case.
const STRIDE: usize = if cfg!(miri) { 17 } else { 1 };

fn hold_every_cut<T: Probed + Samples>() {
    for archive in archives::<T>() {
        for cut in (0..=archive.len()).step_by(STRIDE) {
            hold::<T>(&archive[..cut]);
            hold::<T>(&archive[cut..]);
        }
    }
}

fn hold_every_flip<T: Probed + Samples>() {
    for archive in archives::<T>() {
        let mut bytes = archive.to_vec();
        for bit in (0..bytes.len() * 8).step_by(STRIDE) {
            bytes[bit / 8] ^= 1 << (bit % 8);
            hold::<T>(&bytes);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

/// Relative pointers and lengths are words: each in turn takes every value that lands near the
/// archive. Two lists that claim the same bytes are among the outcomes: were they accepted, copying
/// out would exceed its bound.
fn hold_every_word<T: Probed + Samples>() {
    for archive in archives::<T>() {
        let mut bytes = archive.to_vec();
        let reach = i32::try_from(bytes.len()).unwrap() + 8;
        for at in (0..bytes.len() / 4 * 4).step_by(4) {
            let word: [u8; 4] = bytes[at..at + 4].try_into().unwrap();
            for value in (-reach..=reach).chain([i32::MIN, i32::MAX]).step_by(STRIDE) {
                bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
                hold::<T>(&bytes);
            }
            bytes[at..at + 4].copy_from_slice(&word);
        }
    }
}

/// Off its root's alignment an archive is refused, and on that of a frame's payload, 16, it is not.
/// In between it is either, as its lists hold something of a stricter alignment than the root or do
/// not; if it is accepted, all of it can be read.
fn refuse_off_alignment<T: Probed + Samples>() {
    let alignment = align_of::<T::Archived>();
    for archive in archives::<T>() {
        let mut buffer = FrameBuffer::with_capacity(archive.len() + 16);
        for offset in 0..16 {
            buffer.clear();
            buffer.resize(offset, 0);
            buffer.extend_from_slice(&archive);
            let verdict = Checked::<T>::new(&buffer[offset..]);
            assert!(verdict.is_err() || offset % alignment == 0, "{} at offset {offset}", T::NAME);
            assert!(verdict.is_ok() || offset % 16 != 0, "{} at offset {offset}", T::NAME);
            verdict.map(walk).ok();
        }
    }
}

fn accept_samples<T: Probed + Samples>() {
    for ((label, _), archive) in T::samples().iter().zip(archives::<T>()) {
        assert!(probe::<T>(&archive), "{}, {label}: is refused", T::TYPE);
    }
}

#[test]
fn a_refusal_quotes_what_looks_like_an_address_or_a_quote_and_stays_in_our_words() {
    for agent_id in ["agent,00x1", "agent \"0x1\"", "agent\\\"0x1\n"] {
        let heartbeat =
            AgentHeartbeat { agent_id: agent_id.to_owned(), ..AgentHeartbeat::default() };
        let archive = rkyv::to_bytes::<Error>(&heartbeat).unwrap();
        assert!(Checked::<AgentHeartbeat>::new(&archive).is_err(), "{agent_id}");
        hold::<AgentHeartbeat>(&archive);
    }
}

#[test]
fn archives_cut_anywhere_are_refused_or_can_be_read() {
    for_every_payload!(hold_every_cut());
}

#[test]
fn archives_with_any_one_bit_flipped_are_refused_or_can_be_read() {
    for_every_payload!(hold_every_flip());
}

#[test]
fn archives_with_any_one_word_changed_are_refused_or_can_be_read() {
    for_every_payload!(hold_every_word());
}

#[test]
fn an_archive_off_its_alignment_is_refused_and_not_read() {
    for_every_payload!(refuse_off_alignment());
}

#[test]
fn the_samples_that_these_tests_damage_are_valid_before() {
    for_every_payload!(accept_samples());
}

#[test]
fn frames_cut_anywhere_say_how_much_is_missing() {
    let mut out = FrameBuffer::new();
    encode_bytes(&mut out, Header { flags: CHECKSUM, ..Header::default() }, &[7; 45]);
    (0..=out.len()).for_each(|cut| hold_frame(&out[..cut], 45));
}

#[test]
fn the_allocator_that_bounds_these_tests_counts() {
    let (buffer, allocated) = counted(|| Vec::<u8>::with_capacity(1000));
    assert!(allocated.bytes >= buffer.capacity());
    assert_eq!(counted(|| buffer.len()), (0, Requested::default()));
}

//! Bytes from anybody: whatever they are, a message is a request that the wire can judge, or an
//! error; nothing panics, and nothing is allocated for what a length merely claims.

#[path = "support/hold.rs"]
mod hold;

use crate::support::{golden, msgpack};
use hold::{DIALECTS, judge};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use sutra_compat::{CompatError, MAX_MESSAGE, decode, message_length};
use sutra_testing::allocations::counted;
use sutra_wire::FrameBuffer;

/// Beside the archive, of which no number takes more than four bytes for one of the message: its
/// root, an error's text, the serializer's scratch.
const CONSTANT: usize = 8192;

/// Holds a message to every promise. The error, where it is one.
fn hold(message: &[u8]) -> Option<CompatError> {
    let mut last = None;
    for dialect in DIALECTS {
        let mut out = FrameBuffer::new();
        let (decoded, allocated) = counted(|| decode(message, dialect, &mut out));
        let allocated = allocated.bytes;
        assert!(
            allocated <= 4 * message.len() + CONSTANT,
            "{allocated} bytes for {}",
            message.len()
        );
        last = judge(decoded, &out);
    }
    last
}

/// Every golden request, in every encoding.
fn requests() -> Vec<Vec<u8>> {
    let golden = golden().into_iter().filter(|golden| golden.title.starts_with("request "));
    golden.flat_map(|golden| [golden.array, golden.named, golden.bincode]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes_are_a_request_or_an_error(message in vec(any::<u8>(), 0..2000)) {
        hold(&message);
    }

    #[test]
    fn any_bytes_behind_an_operations_name_are_too(
        request in any::<Index>(),
        keep in any::<Index>(),
        rest in vec(any::<u8>(), 0..200),
    ) {
        let requests = requests();
        let request = &requests[request.index(requests.len())];
        hold(&[&request[..keep.index(request.len())], &rest].concat());
    }

    #[test]
    fn a_request_with_bytes_changed_is_too(
        request in any::<Index>(),
        changes in vec((any::<Index>(), any::<u8>()), 1..6),
    ) {
        let requests = requests();
        let mut request = requests[request.index(requests.len())].clone();
        for (at, byte) in changes {
            let at = at.index(request.len());
            request[at] = byte;
        }
        hold(&request);
    }
}

#[test]
fn a_request_that_is_cut_off_is_an_error_wherever_it_is_cut() {
    for request in requests() {
        assert_eq!(hold(&request), None);
        for length in 0..request.len() {
            let error = hold(&request[..length]);
            // Three bytes of bincode are a number in MessagePack, the first release's name of an
            // operation.
            assert!(error.is_some() || length < 4, "{length} bytes of {request:02x?}");
        }
    }
}

#[test]
fn a_request_with_any_bit_turned_is_read_or_refused() {
    for request in requests() {
        for bit in 0..request.len() * 8 {
            let mut turned = request.clone();
            turned[bit / 8] ^= 1 << (bit % 8);
            hold(&turned);
        }
    }
}

#[test]
fn nesting_is_followed_sixteen_deep_and_no_deeper() {
    let nested = |depth: usize, marker: u8| {
        let mut message = b"\x81\xa8GetStats\x81\xa1x".to_vec();
        message.extend(std::iter::repeat_n(marker, depth));
        message.push(0xc0);
        message
    };
    assert_eq!(hold(&nested(14, 0x91)), None);
    for depth in [15, 10_000, 1_000_000] {
        assert_eq!(
            hold(&nested(depth, 0x91)),
            Some(CompatError::TooDeep { limit: 16 }),
            "{depth} arrays"
        );
        let error = hold(&nested(depth, 0x81));
        assert_eq!(
            error,
            Some(CompatError::TooDeep { limit: 16 }),
            "{depth} maps, each the key of the next"
        );
    }
    // As the whole message: not even a request's beginning.
    assert!(hold(&[0x91; 10_000]).is_some());
    assert!(hold(&[0x81; 10_000]).is_some());
}

#[test]
fn a_million_keys_take_no_memory() {
    let map = |head: &[u8]| {
        let mut message = head.to_vec();
        message.extend_from_slice(&[0xdf, 0, 0x0f, 0x42, 0x40]);
        for key in 0..1_000_000_u32 {
            message.extend_from_slice(&[0xce]);
            message.extend_from_slice(&key.to_be_bytes());
            message.push(0xc0);
        }
        message
    };
    let body = map(b"\x81\xa8GetStats");
    let ((), allocated) = counted(|| assert_eq!(hold(&body), None));
    assert!(allocated.bytes < 4 * CONSTANT, "{} bytes", allocated.bytes);
    assert_eq!(hold(&map(b"")), Some(CompatError::NoOperation { entries: 1_000_000 }));
    let mut names = b"\x81\xa8GetStats\xdf\0\x0f\x42\x40".to_vec();
    (0..1_000_000).for_each(|_| names.extend_from_slice(b"\xa3key\x01"));
    assert_eq!(hold(&names), None, "the same unknown name again and again");
}

#[test]
fn lengths_that_are_only_claimed_cost_nothing() {
    let endless: [&[u8]; 16] = [
        b"\xdf\xff\xff\xff\xff",
        b"\xdd\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xc9\xff\xff\xff\xff\x01",
        b"\x81\xdb\xff\xff\xff\xff",
        b"\x81\xacQueryConcept\xdd\xff\xff\xff\xff",
        b"\x81\xacQueryConcept\xdf\xff\xff\xff\xff\xa1x\x01",
        b"\x81\xacQueryConcept\x91\xdb\xff\xff\xff\xffa",
        b"\x81\xacVectorSearch\x93\xdd\xff\xff\xff\xff\x01",
        b"\x81\xacVectorSearch\x93\xdd\0\0\xff\xff\x01",
        b"\x81\xacVectorSearch\x93\xc6\xff\xff\xff\xff\x01",
        b"\x81\xacLearnConcept\x93\xa1a\xa1b\xc9\xff\xff\xff\xff\x01",
        b"\x02\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x05\0\0\0\xff\xff\xff\xff\xff\xff\xff\x3f",
        b"\x05\0\0\0\xff\xff\0\0\0\0\0\0",
    ];
    for message in endless {
        assert!(hold(message).is_some(), "{message:02x?}");
    }
    for length in [MAX_MESSAGE + 1, u32::MAX] {
        assert_eq!(
            message_length(length.to_be_bytes()),
            Err(CompatError::TooLong { length, limit: MAX_MESSAGE }),
            "before anything is kept for it"
        );
    }
    assert_eq!(message_length(MAX_MESSAGE.to_be_bytes()), Ok(MAX_MESSAGE));
    assert_eq!(message_length([0; 4]), Ok(0));
}

#[test]
fn a_vector_longer_than_the_wire_takes_is_refused_before_it_is_read() {
    let ones = vec![1_u8; 65_537];
    let mut array = b"\x81\xacVectorSearch\x91\xdd\0\x01\0\x01".to_vec();
    array.extend_from_slice(&ones);
    let problem = "has 65537 numbers, the limit is 65536".to_owned();
    let refused = Some(CompatError::Value { place: "query_vector", problem });
    assert_eq!(hold(&array), refused);
    let mut bincode = b"\x05\0\0\0\x01\0\x01\0\0\0\0\0".to_vec();
    bincode.extend((0..65_537).flat_map(|_| 1_f32.to_le_bytes()));
    assert_eq!(hold(&bincode), refused);
    array[19] = 0;
    assert_eq!(hold(&array), None, "one fewer");
}

#[test]
fn a_name_of_a_million_bytes_is_quoted_by_its_beginning() {
    let message = [b"\xdb\0\x0f\x42\x40".as_slice(), &[0xff; 1_000_000]].concat();
    let (error, allocated) = counted(|| hold(&message));
    assert!(matches!(error, Some(CompatError::UnknownOperation { .. })));
    assert!(allocated.bytes < 4 * CONSTANT, "{} bytes", allocated.bytes);
}

#[test]
fn a_message_whose_archive_is_over_the_limit_is_refused() {
    let content = "x".repeat(MAX_MESSAGE as usize - 30);
    let message = msgpack(&serde_json::json!({"LearnConcept": ["a", content]}));
    assert!(message.len() <= MAX_MESSAGE as usize);
    assert!(matches!(hold(&message), Some(CompatError::RequestTooLong { .. })));
}

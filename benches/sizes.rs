//! The messages that the echoes exchange. Requests have one fixed size and replies another, so that
//! they are as long as a protocol's messages.

/// The length of a request in bytes, and a reply. Both begin with a number, so they have at least
/// its 8 bytes.
#[derive(Clone, Debug)]
pub(crate) struct Sizes {
    request: usize,
    reply: Vec<u8>,
}

impl Sizes {
    pub(crate) fn new(request: usize, reply: usize) -> Self {
        Self {
            request: request.max(NUMBER),
            reply: (0..reply.max(NUMBER)).map(|at| at as u8).collect(),
        }
    }

    /// Calls `send` with the replies to `bytes`, which have just arrived. `partial` is kept by the
    /// connection, for a request that is not whole. Where both sizes are the same the bytes are
    /// sent back as they are.
    pub(crate) fn answer(
        &mut self,
        partial: &mut Vec<u8>,
        mut bytes: &[u8],
        mut send: impl FnMut(&[u8]),
    ) {
        if self.request == self.reply.len() {
            return send(bytes);
        }
        if !partial.is_empty() {
            let missing = (self.request - partial.len()).min(bytes.len());
            partial.extend_from_slice(&bytes[..missing]);
            bytes = &bytes[missing..];
            if partial.len() < self.request {
                return;
            }
            self.reply[..NUMBER].copy_from_slice(&partial[..NUMBER]);
            send(&self.reply);
            partial.clear();
        }
        let mut whole = bytes.chunks_exact(self.request);
        for request in &mut whole {
            self.reply[..NUMBER].copy_from_slice(&request[..NUMBER]);
            send(&self.reply);
        }
        partial.extend_from_slice(whole.remainder());
    }
}

/// Bytes of the number that a request begins with and its reply repeats.
pub(crate) const NUMBER: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_gets_one_reply_with_its_number_however_it_is_cut() {
        let requests: Vec<u8> =
            (1..=3u64).flat_map(|number| [number.to_le_bytes(), [7; 8]].concat()).collect();
        for cut in 0..requests.len() {
            let (mut sizes, mut partial, mut sent) = (Sizes::new(16, 11), Vec::new(), Vec::new());
            for piece in [&requests[..cut], &requests[cut..]] {
                sizes.answer(&mut partial, piece, |reply| sent.extend_from_slice(reply));
            }
            let numbers: Vec<&[u8]> = sent.chunks(11).map(|reply| &reply[..8]).collect();
            assert_eq!(numbers, [1u64, 2, 3].map(u64::to_le_bytes), "cut at {cut}");
        }
    }

    #[test]
    fn equal_sizes_are_an_echo() {
        let (mut partial, mut sent) = (Vec::new(), Vec::new());
        Sizes::new(64, 64).answer(&mut partial, b"anything", |reply| sent.extend_from_slice(reply));
        assert_eq!((partial.len(), &sent[..]), (0, &b"anything"[..]));
    }
}

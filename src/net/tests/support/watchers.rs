//! Answers without end: those who watch are told every value that the toy has said, as fast as they
//! read.

use std::sync::Mutex;

use sutra_net::{Body, Context, PartSent, Postbox, ReplyTo, Request};
use sutra_wire::{Counter, Status};

use super::{Say, Shared, number};

/// Told every value in a part of its own, from the first on, until its client has left.
pub const WATCH: u8 = 0x8a;
/// The same, also where its client sends no more.
pub const WATCH_ON: u8 = 0x8b;
/// Says so many (u32) values: each is the count of those before it.
pub const TELL: u8 = 0x8c;
/// Answers all who watch. They stay on the list, so that the next value is offered to requests that
/// have been answered.
pub const END: u8 = 0x8d;
/// Leaves its core's postbox with the test, which posts values.
pub const POSTBOX: u8 = 0x8e;

/// Times that a part repeats its value: enough for parts that nobody reads to add up.
pub const WORDS: usize = 128;
/// Bytes of a part's payload.
pub const PART: usize = WORDS * size_of::<u64>();

/// What [`POSTBOX`] leaves.
pub type Left = Mutex<Option<Postbox<Say>>>;

struct Watcher {
    to: ReplyTo,
    told: usize,
    is_told_after_leaving: bool,
}

/// Those who watch a core's values.
#[derive(Default)]
pub struct Watchers {
    watching: Vec<Watcher>,
    said: Vec<u64>,
    /// What became of the parts, and how many clients were found to have left.
    sent: u64,
    full: u64,
    gone: u64,
    left: u64,
}

impl Watchers {
    /// Takes a request that concerns those who watch; `false` where it does not.
    pub fn request(
        &mut self,
        cx: &mut Context<'_, Say>,
        request: &Request<'_>,
        shared: &Shared,
    ) -> bool {
        let to = request.reply_to;
        match request.header.opcode {
            opcode @ (WATCH | WATCH_ON) => {
                self.watching.push(Watcher {
                    to,
                    told: 0,
                    is_told_after_leaving: opcode == WATCH_ON,
                });
                return true;
            }
            TELL => {
                let count = self.said.len() as u64;
                self.said.extend(count..count + u64::from(number(request.payload)));
            }
            END => self
                .watching
                .iter()
                .for_each(|watcher| cx.reply(watcher.to, Status::Ok, 0, Body::Empty)),
            POSTBOX => *shared.postbox.lock().unwrap() = Some(cx.postbox()),
            _ => return false,
        }
        cx.reply(to, Status::Ok, 0, Body::Empty);
        true
    }

    /// Another thread has said a value.
    pub fn say(&mut self, cx: &Context<'_, Say>, from: usize, value: u64) {
        assert_eq!(from, cx.index(), "it comes as from the core itself");
        self.said.push(value);
    }

    /// Tells everyone what is new to it; gives back the requests of those who are not there to be
    /// told.
    pub fn tell(&mut self, cx: &mut Context<'_, Say>, shared: &Shared) {
        let Watchers { watching, said, sent, full, gone, left } = self;
        watching.retain_mut(|watcher| {
            let mut is_there = true;
            while let (Some(value), true) = (said.get(watcher.told), is_there) {
                match cx.reply_part(watcher.to, watcher.told as u64, &[*value; WORDS]) {
                    PartSent::Sent => {
                        shared.note_reply(PART);
                        watcher.told += 1;
                        *sent += 1;
                    }
                    PartSent::Full => {
                        *full += 1;
                        break;
                    }
                    PartSent::Gone => {
                        *gone += 1;
                        is_there = false;
                    }
                }
            }
            if is_there && !watcher.is_told_after_leaving && cx.has_left(watcher.to) {
                *left += 1;
                is_there = false;
            }
            is_there &= !cx.is_draining();
            if !is_there {
                cx.refuse(watcher.to, Status::ShuttingDown, "nobody watches");
            }
            is_there
        });
    }

    /// Adds its counts to `out`.
    pub fn report(&self, out: &mut Vec<Counter>) {
        let watching = self.watching.len() as u64;
        let counts = [
            ("watching", watching),
            ("parts_sent", self.sent),
            ("parts_full", self.full),
            ("parts_gone", self.gone),
            ("watchers_left", self.left),
        ];
        out.extend(counts.map(|(name, value)| Counter { name: name.into(), value }));
    }
}

//! Where each vector of a space is, by its ordinal.
//!
//! Vectors whose coarse copies can't be told apart share an entry of the index; its first vector is
//! the entry's *head*, also when that one is dead (`groups.rs`).

use crate::slab::Slab;
use crate::vectors::coarse::Coarse;
use crate::vectors::cosine::Length;
use crate::vectors::groups::{Groups, Member};

/// Free ordinals that a checkpoint may have beside many times its vectors.
const MANY_FREE: usize = 4096;

/// What is kept of a vector: whose it is, and how long.
#[derive(Clone, Copy)]
pub(in crate::vectors) struct Vector {
    pub(in crate::vectors) node: u32,
    pub(in crate::vectors) length: Length,
}

impl Vector {
    /// What stands behind an ordinal that no vector has.
    const NONE: Self = Self { node: 0, length: Length::ZERO };
}

/// An ordinal. 20 bytes, as there are millions.
struct Row {
    vector: Vector,
    membership: Membership,
}

/// Where the vector of an ordinal is. Of lists it says at which place in them.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Membership {
    /// No vector has this ordinal.
    Free,
    /// The vector was replaced or deleted, and an index or a job still has the ordinal. `group` has
    /// the living vectors of the entry that it is the head of.
    Dead { group: Option<u32> },
    /// In the tail. `held`: an index has the ordinal, or a job may put it into one.
    Tail { at: u32, held: bool },
    /// Among the zero vectors.
    Zero { at: u32 },
    /// In the index. It has a member where its entry has, or had, several vectors.
    Indexed { member: Option<Member> },
}

/// The vectors of a space.
#[derive(Default)]
pub(super) struct Roster {
    rows: Slab<Row>,
    free: Vec<u32>,
    tail: Vec<u32>,
    zeros: Vec<u32>,
    /// Those that share an entry of the index.
    groups: Groups,
    indexed: u64,
    dead: u64,
}

impl Roster {
    /// Takes the ordinals of an index from a checkpoint, while it has none itself. They are dead
    /// until they are [`Roster::revive`]d. `false`, and nothing is changed, where they make no
    /// sense.
    pub(super) fn take_in(&mut self, coarse: &Coarse) -> bool {
        let members = coarse.members();
        let count = members.iter().map(|member| member.ordinal as usize + 1).max().unwrap_or(0);
        // Free ordinals between those of an index come from vectors that died unindexed.
        if count > 8 * members.len() + MANY_FREE {
            return false;
        }
        let mut inside = vec![false; count];
        if members
            .iter()
            .any(|member| std::mem::replace(&mut inside[member.ordinal as usize], true))
        {
            return false;
        }
        for (ordinal, inside) in (0..).zip(inside) {
            let membership =
                if inside { Membership::Dead { group: None } } else { Membership::Free };
            self.rows.push(Row { vector: Vector::NONE, membership });
            if !inside {
                self.free.push(ordinal);
            }
        }
        self.dead = members.len() as u64;
        true
    }

    /// Gives a dead ordinal, which the index holds behind the entry of `head`, the vector that it
    /// was given for. `false` where it has one already.
    pub(super) fn revive(&mut self, ordinal: u32, head: u32, vector: Vector) -> bool {
        if !matches!(self.rows[ordinal].membership, Membership::Dead { .. }) {
            return false;
        }
        let member = self.member(ordinal, head);
        self.rows[ordinal] = Row { vector, membership: Membership::Indexed { member } };
        self.dead -= 1;
        self.indexed += 1;
        true
    }

    /// The member of a vector that is about to count as indexed behind the entry of `head`; none
    /// where it is alone there.
    fn member(&mut self, ordinal: u32, head: u32) -> Option<Member> {
        let group = match self.rows[head].membership {
            Membership::Indexed { member: Some(Member { group, .. }) }
            | Membership::Dead { group: Some(group) } => group,
            _ if ordinal == head => return None,
            Membership::Indexed { member: None } => {
                let group = self.groups.make(head);
                let member = Some(self.groups.add(group, head));
                self.rows[head].membership = Membership::Indexed { member };
                group
            }
            Membership::Dead { group: None } => {
                let group = self.groups.make(head);
                self.rows[head].membership = Membership::Dead { group: Some(group) };
                group
            }
            Membership::Free | Membership::Tail { .. } | Membership::Zero { .. } => {
                debug_assert!(false, "an index holds the head of each of its entries");
                return None;
            }
        };
        Some(self.groups.add(group, ordinal))
    }

    /// Takes an indexed vector from its member; returns the group that it still leads to, as the
    /// head of vectors that are left.
    fn leave_group(&mut self, ordinal: u32, member: Member) -> Option<u32> {
        if let Some(moved) = self.groups.remove(member) {
            self.rows[moved].membership = Membership::Indexed { member: Some(member) };
        }
        let head = self.groups.head(member.group);
        if self.groups.disband_if_empty(member.group) {
            if head != ordinal {
                self.rows[head].membership = Membership::Dead { group: None };
            }
            return None;
        }
        (head == ordinal).then_some(member.group)
    }

    /// The living vectors behind an entry of the index.
    pub(super) fn behind(&self, head: u32) -> impl Iterator<Item = u32> {
        let (alone, group) = match self.rows.get(head).map(|row| row.membership) {
            Some(Membership::Indexed { member: None }) => (Some(head), &[][..]),
            Some(
                Membership::Indexed { member: Some(Member { group, .. }) }
                | Membership::Dead { group: Some(group) },
            ) => (None, self.groups.members(group)),
            _ => (None, &[][..]),
        };
        alone.into_iter().chain(group.iter().copied())
    }

    /// Adds a vector; returns its ordinal.
    pub(super) fn add(&mut self, vector: Vector) -> u32 {
        let is_zero = vector.length == Length::ZERO;
        let list = if is_zero { &mut self.zeros } else { &mut self.tail };
        let at = list.len() as u32;
        let membership =
            if is_zero { Membership::Zero { at } } else { Membership::Tail { at, held: false } };
        let row = Row { vector, membership };
        let ordinal = match self.free.pop() {
            Some(ordinal) => {
                self.rows[ordinal] = row;
                ordinal
            }
            None => self.rows.push(row),
        };
        list.push(ordinal);
        ordinal
    }

    /// A vector was replaced or deleted.
    pub(super) fn kill(&mut self, ordinal: u32) {
        match self.rows[ordinal].membership {
            Membership::Free | Membership::Dead { .. } => {}
            Membership::Zero { at } => {
                take_from(&mut self.zeros, &mut self.rows, at);
                self.set_free(ordinal);
            }
            Membership::Tail { at, held } => {
                self.take_from_tail(at);
                match held {
                    true => self.set_dead(ordinal, None),
                    false => self.set_free(ordinal),
                }
            }
            Membership::Indexed { member } => {
                let group = member.and_then(|member| self.leave_group(ordinal, member));
                self.indexed -= 1;
                self.set_dead(ordinal, group);
            }
        }
    }

    fn set_dead(&mut self, ordinal: u32, group: Option<u32>) {
        self.rows[ordinal].membership = Membership::Dead { group };
        self.dead += 1;
    }

    fn set_free(&mut self, ordinal: u32) {
        self.rows[ordinal].membership = Membership::Free;
        self.free.push(ordinal);
    }

    fn take_from_tail(&mut self, at: u32) {
        take_from(&mut self.tail, &mut self.rows, at);
        if self.tail.is_empty() {
            // After an import it was as long as all that was imported.
            self.tail = Vec::new();
        }
    }

    /// A job is given this vector, to put it into an index.
    pub(super) fn hold(&mut self, ordinal: u32) {
        if let Membership::Tail { held, .. } = &mut self.rows[ordinal].membership {
            *held = true;
        }
    }

    /// A vector has come back from a job that inserted it behind this entry, or did not come to it.
    pub(super) fn returned(&mut self, ordinal: u32, head: Option<u32>) {
        match (self.rows[ordinal].membership, head) {
            (Membership::Tail { at, .. }, Some(head)) => {
                let member = self.member(ordinal, head);
                self.take_from_tail(at);
                self.rows[ordinal].membership = Membership::Indexed { member };
                self.indexed += 1;
            }
            (Membership::Tail { at, .. }, None) => {
                self.rows[ordinal].membership = Membership::Tail { at, held: false };
            }
            (Membership::Dead { .. }, None) => {
                self.dead -= 1;
                self.set_free(ordinal);
            }
            _ => {}
        }
    }

    /// Takes another index for the one that there was: what it holds is indexed, what lives beside
    /// it is the tail, and ordinals that it does not hold are free. Cost: a look at every ordinal,
    /// about 3 ns each.
    pub(super) fn adopt(&mut self, coarse: Option<&Coarse>) {
        let mut inside = vec![false; self.rows.len()];
        for member in coarse.map_or(&[][..], Coarse::members) {
            inside[member.ordinal as usize] = true;
        }
        self.tail.clear();
        self.groups = Groups::default();
        (self.indexed, self.dead) = (0, 0);
        for (ordinal, inside) in (0..).zip(inside) {
            let membership = &mut self.rows[ordinal].membership;
            match (*membership, inside) {
                (Membership::Free | Membership::Zero { .. }, _) => {}
                (Membership::Dead { .. }, true) => {
                    *membership = Membership::Dead { group: None };
                    self.dead += 1;
                }
                (Membership::Dead { .. }, false) => {
                    *membership = Membership::Free;
                    self.free.push(ordinal);
                }
                (Membership::Tail { .. } | Membership::Indexed { .. }, true) => {
                    *membership = Membership::Indexed { member: None };
                    self.indexed += 1;
                }
                (Membership::Tail { .. } | Membership::Indexed { .. }, false) => {
                    *membership = Membership::Tail { at: self.tail.len() as u32, held: false };
                    self.tail.push(ordinal);
                }
            }
        }
        for joined in coarse.map_or(&[][..], Coarse::joined) {
            if matches!(self.rows[joined.ordinal].membership, Membership::Indexed { .. }) {
                let member = self.member(joined.ordinal, joined.head);
                self.rows[joined.ordinal].membership = Membership::Indexed { member };
            }
        }
    }

    /// A living vector.
    pub(super) fn vector(&self, ordinal: u32) -> Option<&Vector> {
        let row = self.rows.get(ordinal)?;
        (!matches!(row.membership, Membership::Free | Membership::Dead { .. }))
            .then_some(&row.vector)
    }

    /// A living vector of those that an index can hold.
    pub(super) fn insertable(&self, ordinal: u32) -> Option<&Vector> {
        let row = &self.rows[ordinal];
        matches!(row.membership, Membership::Tail { .. } | Membership::Indexed { .. })
            .then_some(&row.vector)
    }

    /// The ordinals of all vectors that an index can hold.
    pub(super) fn all_insertable(&self) -> Vec<u32> {
        (0..self.ordinals()).filter(|ordinal| self.insertable(*ordinal).is_some()).collect()
    }

    /// How many vectors an index can hold.
    pub(super) fn insertable_count(&self) -> u64 {
        self.indexed + self.tail.len() as u64
    }

    /// Ordinals that there were: all living ones are below.
    pub(super) fn ordinals(&self) -> u32 {
        self.rows.len() as u32
    }

    pub(super) fn live(&self) -> u64 {
        self.insertable_count() + self.zeros.len() as u64
    }

    pub(super) fn indexed(&self) -> u64 {
        self.indexed
    }

    pub(super) fn dead(&self) -> u64 {
        self.dead
    }

    pub(super) fn tail(&self) -> &[u32] {
        &self.tail
    }

    pub(super) fn zeros(&self) -> &[u32] {
        &self.zeros
    }

    /// Bytes of memory that it holds.
    pub(super) fn memory(&self) -> u64 {
        let lists = self.free.capacity() + self.tail.capacity() + self.zeros.capacity();
        self.rows.memory() + self.groups.memory() + (lists * size_of::<u32>()) as u64
    }
}

/// Takes the vector at this place out of a list; the last one takes the place.
fn take_from(list: &mut Vec<u32>, rows: &mut Slab<Row>, at: u32) {
    list.swap_remove(at as usize);
    if let Some(moved) = list.get(at as usize)
        && let Membership::Tail { at: place, .. } | Membership::Zero { at: place } =
            &mut rows[*moved].membership
    {
        *place = at;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinal_takes_20_bytes() {
        assert_eq!(size_of::<Row>(), 20);
    }

    #[test]
    fn an_ordinal_that_a_job_has_is_given_again_only_after_its_end() {
        let mut roster = Roster::default();
        let vector =
            Vector { node: 7, length: Length::of(&[rkyv::rend::f32_le::from_native(1.0)]) };
        let [first, second, third] = [(); 3].map(|()| roster.add(vector));
        [first, second, third].into_iter().for_each(|ordinal| roster.hold(ordinal));
        [first, second].into_iter().for_each(|ordinal| roster.kill(ordinal));
        assert_eq!((roster.live(), roster.dead(), roster.tail()), (1, 2, &[third][..]));
        assert_eq!(roster.add(vector), 3, "the job has the others");
        // The job inserted the first, and did not come to the others.
        roster.returned(first, Some(first));
        roster.returned(second, None);
        roster.returned(third, None);
        assert_eq!((roster.live(), roster.dead(), roster.indexed()), (2, 1, 0));
        assert_eq!(
            [roster.add(vector), roster.add(vector)],
            [second, 4],
            "the index holds the first"
        );
    }
}

//! The vectors behind each entry of an index: those whose coarse copies can't be told apart share
//! one.
//!
//! An entry is named by the ordinal of its first vector, its *head*, also when that one is dead and
//! others live. Most entries have one vector, and take nothing here.

use crate::slab::Slab;

/// A vector's place in a group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Member {
    pub(super) group: u32,
    pub(super) at: u32,
}

struct Group {
    head: u32,
    /// The members that live.
    ordinals: Vec<u32>,
}

/// The groups of more than one vector.
#[derive(Default)]
pub(super) struct Groups {
    groups: Slab<Group>,
    free: Vec<u32>,
    /// Places in all lists.
    places: usize,
}

impl Groups {
    /// A new group, without vectors.
    pub(super) fn make(&mut self, head: u32) -> u32 {
        let group = Group { head, ordinals: Vec::new() };
        match self.free.pop() {
            Some(number) => {
                self.groups[number] = group;
                number
            }
            None => self.groups.push(group),
        }
    }

    pub(super) fn add(&mut self, group: u32, ordinal: u32) -> Member {
        let ordinals = &mut self.groups[group].ordinals;
        let before = ordinals.capacity();
        ordinals.push(ordinal);
        self.places += ordinals.capacity() - before;
        Member { group, at: ordinals.len() as u32 - 1 }
    }

    /// Takes a vector out; which one has its place now.
    pub(super) fn remove(&mut self, member: Member) -> Option<u32> {
        let ordinals = &mut self.groups[member.group].ordinals;
        ordinals.swap_remove(member.at as usize);
        ordinals.get(member.at as usize).copied()
    }

    /// Gives a group back that nobody is left in; whether it did.
    pub(super) fn disband_if_empty(&mut self, group: u32) -> bool {
        let ordinals = &mut self.groups[group].ordinals;
        if !ordinals.is_empty() {
            return false;
        }
        self.places -= std::mem::take(ordinals).capacity();
        self.free.push(group);
        true
    }

    pub(super) fn head(&self, group: u32) -> u32 {
        self.groups[group].head
    }

    pub(super) fn members(&self, group: u32) -> &[u32] {
        &self.groups[group].ordinals
    }

    pub(super) fn memory(&self) -> u64 {
        match self.groups.is_empty() {
            true => 0,
            false => {
                self.groups.memory()
                    + ((self.places + self.free.capacity()) * size_of::<u32>()) as u64
            }
        }
    }
}

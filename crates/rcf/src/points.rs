//! The points that any tree keeps, each stored once.

use alloc::vec::Vec;

use crate::kernel::prefetch;
use crate::packed::{ANY, Aligned, LINE};

/// How many numbers a stored point or half a box has: short ones as they are, longer ones filled
/// with zeros to whole blocks of four, so that sums over them have no rest.
pub(crate) fn padded(point_len: usize) -> usize {
    if point_len < 4 { point_len } else { point_len.next_multiple_of(4) }
}

/// Points of one length, by slot, with the number of leaves that use each.
#[derive(Clone, Debug)]
pub(crate) struct PointStore {
    padded_len: usize,
    coordinates: Aligned,
    // Of each slot; 0 where it is free. At most one leaf a tree uses a point.
    n_users: Vec<u16>,
    free: Vec<u32>,
}

impl PointStore {
    pub(crate) fn new(point_len: usize) -> Self {
        let padded_len = padded(point_len);
        Self { padded_len, coordinates: Aligned::new(), n_users: Vec::new(), free: Vec::new() }
    }

    /// Numbers that a stored point has.
    pub(crate) fn padded_len(&self) -> usize {
        self.padded_len
    }

    /// Stores a point, padded, for its first user.
    pub(crate) fn insert(&mut self, point: &[f32]) -> u32 {
        debug_assert_eq!(point.len(), self.padded_len);
        if let Some(slot) = self.free.pop() {
            self.n_users[slot as usize] = 1;
            let at = slot as usize * self.padded_len;
            self.coordinates.get_mut(at, self.padded_len).copy_from_slice(point);
            return slot;
        }
        grow_by_an_eighth(&mut self.n_users, 1);
        self.coordinates.extend(point);
        self.n_users.push(1);
        u32::try_from(self.n_users.len() - 1)
            .expect("at most 1000 trees keep at most 65 536 points each")
    }

    pub(crate) fn retain(&mut self, slot: u32) {
        self.n_users[slot as usize] += 1;
    }

    pub(crate) fn release(&mut self, slot: u32) {
        let n_users = &mut self.n_users[slot as usize];
        *n_users -= 1;
        if *n_users == 0 {
            self.free.push(slot);
        }
    }

    #[inline(always)]
    pub(crate) fn get(&self, slot: u32) -> &[f32] {
        self.coordinates.get(slot as usize * self.padded_len, self.padded_len)
    }

    /// The same where the length is known to the compiler.
    #[inline(always)]
    pub(crate) fn get_of<const LENGTH: usize>(&self, slot: u32) -> &[f32] {
        if LENGTH == ANY {
            self.get(slot)
        } else {
            &self.coordinates.rows::<LENGTH>()[slot as usize]
        }
    }

    /// Asks for a point.
    #[inline(always)]
    pub(crate) fn ask_for(&self, slot: u32) {
        for line in self.get(slot).chunks(LINE) {
            prefetch(&line[0]);
        }
    }

    /// The only number of a point in a store of numbers.
    #[inline(always)]
    pub(crate) fn get_one(&self, slot: u32) -> f32 {
        self.coordinates.get(slot as usize, 1)[0]
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.coordinates.size_bytes()
            + self.n_users.capacity() * size_of::<u16>()
            + self.free.capacity() * size_of::<u32>()
    }
}

/// Makes room for `more` elements, and for an eighth beyond: doubling would leave up to half of a
/// large list unused.
pub(crate) fn grow_by_an_eighth<T>(list: &mut Vec<T>, more: usize) {
    if list.capacity() - list.len() < more {
        list.reserve_exact(more + list.len() / 8);
    }
}

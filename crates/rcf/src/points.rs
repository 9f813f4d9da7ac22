//! The points that any tree keeps, each stored once.

/// Points of one length, by slot, with the number of leaves that use each.
#[derive(Clone, Debug)]
pub(crate) struct PointStore {
    point_len: usize,
    coordinates: Vec<f32>,
    // Of each slot; 0 where it is free.
    n_users: Vec<u32>,
    free: Vec<u32>,
}

impl PointStore {
    pub(crate) fn new(point_len: usize) -> Self {
        Self { point_len, coordinates: Vec::new(), n_users: Vec::new(), free: Vec::new() }
    }

    pub(crate) fn point_len(&self) -> usize {
        self.point_len
    }

    /// Stores a point for its first user.
    pub(crate) fn insert(&mut self, point: &[f32]) -> u32 {
        debug_assert_eq!(point.len(), self.point_len);
        if let Some(slot) = self.free.pop() {
            self.n_users[slot as usize] = 1;
            let at = slot as usize * self.point_len;
            self.coordinates[at..at + self.point_len].copy_from_slice(point);
            return slot;
        }
        self.coordinates.extend_from_slice(point);
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

    pub(crate) fn get(&self, slot: u32) -> &[f32] {
        let at = slot as usize * self.point_len;
        &self.coordinates[at..at + self.point_len]
    }

    pub(crate) fn size_bytes(&self) -> usize {
        (self.coordinates.capacity() + self.n_users.capacity() + self.free.capacity()) * 4
    }
}

//! What a double does to its next requests.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One thing that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The whole request is refused with this status; nothing of it is taken.
    Status(u16),
    /// The entries at these places fail with this status and error type, the others are taken.
    Entries {
        /// Places in the request, from 0.
        at: Vec<usize>,
        /// The status of these entries.
        status: u16,
        /// Their error's type or code.
        kind: &'static str,
    },
    /// Everything is taken, and the answer is a 500.
    AnswerLost,
    /// Nothing is taken, and there never is an answer.
    Hang,
}

/// The faults of the next requests, in order; behind them all goes well.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<VecDeque<Option<Fault>>>>);

impl Faults {
    /// The next request that has none yet meets this fault.
    pub fn then(&self, fault: Fault) -> &Self {
        self.lock().push_back(Some(fault));
        self
    }

    /// The next request that has no fault yet goes well.
    pub fn then_well(&self) -> &Self {
        self.lock().push_back(None);
        self
    }

    /// Faults that no request has met yet.
    pub fn n_left(&self) -> usize {
        self.lock().len()
    }

    pub(crate) fn next(&self) -> Option<Fault> {
        self.lock().pop_front().flatten()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Option<Fault>>> {
        // The queue is whole between calls, whatever a panicking holder did.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

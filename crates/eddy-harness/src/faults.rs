//! What a double does to its next requests.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Random;

/// One thing that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The whole request is refused with this status; nothing of it is taken.
    Status(u16),
    /// The whole request is refused with this status and error type; nothing of it is taken.
    Refused {
        /// The answer's status.
        status: u16,
        /// The error's type or code.
        kind: &'static str,
    },
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

/// The faults of the next requests, in order; behind them all goes well, or as a seed says.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<Plan>>);

#[derive(Debug, Default)]
struct Plan {
    next: VecDeque<Option<Fault>>,
    storm: Option<Storm>,
}

#[derive(Debug)]
struct Storm {
    random: Random,
    one_in: u64,
    kinds: Vec<Fault>,
}

impl Faults {
    /// The next request that has none yet meets this fault.
    pub fn then(&self, fault: Fault) -> &Self {
        self.lock().next.push_back(Some(fault));
        self
    }

    /// The next request that has no fault yet goes well.
    pub fn then_well(&self) -> &Self {
        self.lock().next.push_back(None);
        self
    }

    /// From now on one request in `one_in` meets one of `kinds`; failing entries stand at places of
    /// their own.
    pub fn storm(&self, seed: u64, one_in: u64, kinds: Vec<Fault>) {
        self.lock().storm = Some(Storm { random: Random::new(seed), one_in, kinds });
    }

    /// From now on all goes well, but for what was ordered one by one.
    pub fn calm(&self) {
        self.lock().storm = None;
    }

    /// Faults that no request has met yet.
    pub fn n_left(&self) -> usize {
        self.lock().next.len()
    }

    pub(crate) fn next(&self) -> Option<Fault> {
        self.next_of(|_| true)
    }

    /// The same for a request that only some faults concern; the others wait for the next one.
    pub(crate) fn next_of(&self, concerns: impl Fn(&Fault) -> bool) -> Option<Fault> {
        let mut plan = self.lock();
        if plan.next.front().is_some_and(|next| next.as_ref().is_some_and(|fault| !concerns(fault)))
        {
            return None;
        }
        if let Some(fault) = plan.next.pop_front() {
            return fault;
        }
        let storm = plan.storm.as_mut()?;
        if !storm.random.one_in(storm.one_in) {
            return None;
        }
        let mut fault = storm.random.pick(&storm.kinds).clone();
        if let Fault::Entries { at, .. } = &mut fault {
            let (every, first) = (1 + storm.random.below(4), storm.random.below(3));
            *at = (0..500).filter(|place| *place as u64 % every == first % every).collect();
        }
        Some(fault)
    }

    fn lock(&self) -> MutexGuard<'_, Plan> {
        // The plan is whole between calls, whatever a panicking holder did.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! Faults at work: which one a sensor has, and what it makes of a value.

use std::sync::Arc;

use crate::check::fault_field;
use crate::draw::{Random, Threshold};
use crate::scene::{Fault, FaultKind, SensorGroup};
use crate::signal::whole;

/// Readings of a fault that has no `lasts`.
const DEFAULT_LASTS: u64 = 20;

/// A fault as it befalls the sensors of one group.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) kind: FaultKind,
    threshold: Threshold,
    at: Vec<u64>,
    lasts: (u64, u64),
    by: (f64, f64),
    to: Option<(f64, f64)>,
    /// The field, `None` for all.
    pub(crate) field_idx: Option<usize>,
    pub(crate) field: Option<Arc<str>>,
}

impl Plan {
    /// `None` where the group has no field for it. The fault was checked.
    pub(crate) fn new(fault: &Fault, group: &SensorGroup) -> Option<Self> {
        let of_all =
            fault.field.is_none() && matches!(fault.kind, FaultKind::Dropout | FaultKind::Swapped);
        let field_idx = if of_all { None } else { Some(fault_field(fault, group)?) };
        if fault.kind == FaultKind::Swapped && group.count < 2 {
            return None;
        }
        let short =
            matches!(fault.kind, FaultKind::Spike | FaultKind::Dip | FaultKind::CorrelatedBreak);
        let default = if short { 1 } else { DEFAULT_LASTS };
        #[expect(clippy::cast_possible_truncation, reason = "checked: 1 to a million")]
        #[expect(clippy::cast_sign_loss, reason = "checked: 1 to a million")]
        let whole_readings = |(min, max): (f64, f64)| (min as u64, max as u64);
        let mut at = fault.at.clone();
        at.sort_unstable();
        Some(Self {
            kind: fault.kind,
            threshold: if fault.probability > 0.0 {
                Threshold::new(fault.probability)
            } else {
                Threshold::NEVER
            },
            at,
            lasts: fault.lasts.map_or((default, default), |span| whole_readings(span.bounds())),
            by: fault.by.map_or((0.0, 0.0), |span| span.bounds()),
            to: fault.to.map(|span| span.bounds()),
            field_idx,
            field: field_idx.map(|idx| group.fields[idx].name.as_str().into()),
        })
    }

    /// Whether it begins at a sensor's reading of that number.
    pub(crate) fn begins(&self, reading: u64, random: &mut Random) -> bool {
        let by_chance = self.threshold != Threshold::NEVER && random.happens(self.threshold);
        by_chance || self.at.binary_search(&reading).is_ok()
    }

    /// Draws how long it lasts and how strong it is.
    pub(crate) fn begin(&self, plan_idx: usize, episode: u64, random: &mut Random) -> Active {
        let n_readings = random.within(self.lasts.0, self.lasts.1);
        let once =
            matches!(self.kind, FaultKind::Drift | FaultKind::LevelShift | FaultKind::NoiseBurst);
        let by = if once { random.between(self.by.0, self.by.1) } else { 0.0 };
        Active { plan_idx, n_readings, n_done: 0, by, episode, partner_idx: None }
    }

    /// Whether its value stands in the place of the signal's.
    pub(crate) fn replaces(&self) -> bool {
        self.to.is_some()
    }

    /// The value in the place of the signal's; whole where field and range are.
    pub(crate) fn replacement(&self, decimals: u8, random: &mut Random) -> Option<f64> {
        let (min, max) = self.to?;
        Some(match whole(min, max) {
            #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
            Some((least, most)) if decimals == 0 => min + random.within(least, most) as f64,
            _ => random.between(min, max),
        })
    }

    /// What becomes of an ordinary value; `before` is the field's last one.
    pub(crate) fn apply(
        &self,
        active: &Active,
        value: f64,
        before: f64,
        random: &mut Random,
    ) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a million at most")]
        let progress = (active.n_done + 1) as f64 / active.n_readings as f64;
        match self.kind {
            FaultKind::Spike => value + random.between(self.by.0, self.by.1),
            FaultKind::Dip => value - random.between(self.by.0, self.by.1),
            FaultKind::Drift => value + active.by * progress,
            FaultKind::LevelShift => value + active.by,
            FaultKind::NoiseBurst => value + active.by * random.normal(),
            FaultKind::Stuck => before,
            FaultKind::Dropout | FaultKind::Swapped | FaultKind::CorrelatedBreak => value,
        }
    }
}

/// A fault that a sensor has.
#[derive(Clone, Debug)]
pub(crate) struct Active {
    pub(crate) plan_idx: usize,
    pub(crate) n_readings: u64,
    pub(crate) n_done: u64,
    by: f64,
    pub(crate) episode: u64,
    /// The sensor with which it is swapped.
    pub(crate) partner_idx: Option<usize>,
}

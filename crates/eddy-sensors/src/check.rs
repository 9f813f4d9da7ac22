//! What a scene must be so that it can be played.

use std::collections::{BTreeMap, BTreeSet};

use crate::rate::check_rate;
use crate::scene::{Fault, FaultKind, Field, FormatKind, Held, Scene, SensorGroup, Signal, Span};

/// Why a scene cannot be played: the place in it and what to change there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct SceneError {
    /// The field, such as `sensors[0].fields[1].signal`.
    pub place: String,
    /// What is wrong, and what would be right.
    pub problem: String,
}

impl SceneError {
    pub(crate) fn new(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { place: place.into(), problem: problem.into() }
    }
}

pub(crate) type Checked = Result<(), SceneError>;

pub(crate) fn refused(place: &str, problem: impl Into<String>) -> Checked {
    Err(SceneError::new(place, problem))
}

/// The most sensors of a scene: each keeps its name and its signals in memory.
pub(crate) const MAX_SENSORS: u64 = 1_000_000;
/// The longest fault, in readings, and the longest time that a record is held back, in seconds.
const MAX_LASTS: f64 = 1e6;
const MAX_HELD_S: f64 = 86_400.0;
/// The most fields of all sensors together: each has its signal and its last value in memory.
const MAX_FIELDS: u64 = 5_000_000;
/// The most pairs of a sensor and a fault, and of a name in a fault's list.
const MAX_PAIRS: u64 = 10_000_000;
/// The most readings that a dropout may swallow while all its sensors are silent.
const MAX_SILENT: f64 = 1e8;
/// A partition key has 256 characters; a sensor's number has its place behind the name.
const MAX_NAME_BYTES: usize = 240;

impl Scene {
    /// Reads a scene from TOML and checks it.
    ///
    /// # Errors
    /// It is not TOML, has a field that no scene has, or cannot be played; the error says where.
    pub fn from_toml(text: &str) -> Result<Self, SceneError> {
        let scene: Self = toml::from_str(text)
            .map_err(|error| SceneError::new("the scene file", error.to_string()))?;
        scene.validate()?;
        Ok(scene)
    }

    /// Checks the scene whole.
    ///
    /// # Errors
    /// The first field that cannot be played, with what to change.
    pub fn validate(&self) -> Checked {
        self.start_ms()?;
        check_rate(&self.rate)?;
        self.check_format()?;
        let mut names = BTreeSet::new();
        for (group_idx, group) in self.groups.iter().enumerate() {
            let place = format!("groups[{group_idx}]");
            if !names.insert(&group.name) {
                return refused(
                    &place,
                    format!("there are two groups {:?}: rename one", group.name),
                );
            }
            if !(0.0..1.0).contains(&group.memory) {
                return refused(
                    &place,
                    format!("memory must be 0 to below 1, found {}", group.memory),
                );
            }
        }
        let n_sensors: u64 = self.sensors.iter().map(|group| u64::from(group.count)).sum();
        if n_sensors > MAX_SENSORS {
            return refused("sensors", format!("at most {MAX_SENSORS} sensors, found {n_sensors}"));
        }
        self.check_sizes(n_sensors)?;
        let mut counts = BTreeMap::new();
        for (group_idx, group) in self.sensors.iter().enumerate() {
            let place = format!("sensors[{group_idx}]");
            if counts.insert(group.name.as_str(), group.count).is_some() {
                return refused(&place, format!("two have the name {:?}: rename one", group.name));
            }
            self.check_sensors(group, &place)?;
        }
        for (group_idx, group) in self.sensors.iter().enumerate() {
            // A sensor alone has no number of its own, so that its name can be a numbered one's.
            let numbered = group.name.rsplit_once('-').filter(|_| group.count == 1);
            let is_taken = numbered.is_some_and(|(name, number)| {
                let number = number.parse::<u32>().ok().filter(|n| n.to_string() == number);
                let count = counts.get(name).copied().filter(|count| *count > 1);
                number.zip(count).is_some_and(|(number, count)| (1..=count).contains(&number))
            });
            if is_taken {
                return refused(
                    &format!("sensors[{group_idx}]"),
                    format!("two sensors have the name {:?}: rename one", group.name),
                );
            }
        }
        for (fault_idx, fault) in self.faults.iter().enumerate() {
            self.check_fault(fault, &format!("faults[{fault_idx}]"))?;
        }
        self.check_delivery()
    }

    /// What the sensors need in memory, before any of it is taken.
    fn check_sizes(&self, n_sensors: u64) -> Checked {
        let n_fields: u64 = (self.sensors.iter())
            .map(|group| u64::from(group.count).saturating_mul(group.fields.len() as u64))
            .fold(0, u64::saturating_add);
        if n_fields > MAX_FIELDS {
            let problem =
                format!("at most {MAX_FIELDS} fields of all sensors together, found {n_fields}");
            return refused("sensors", problem);
        }
        let n_groups = self.sensors.len() as u64;
        let pairs = |fault: &Fault| {
            let of_names = n_sensors.saturating_mul(fault.sensors.len().max(1) as u64);
            of_names.saturating_add(n_groups.saturating_mul(fault.at.len() as u64))
        };
        let n_pairs = self.faults.iter().map(pairs).fold(0, u64::saturating_add);
        if n_pairs > MAX_PAIRS {
            let problem = format!(
                "sensors times faults, and times the names in their lists, must be at most \
                 {MAX_PAIRS}, found {n_pairs}"
            );
            return refused("faults", problem);
        }
        Ok(())
    }

    /// The time of the first reading, in milliseconds since 1970.
    pub(crate) fn start_ms(&self) -> Result<i64, SceneError> {
        let Some(start) = &self.start else { return Ok(DEFAULT_START_MS) };
        match chrono::DateTime::parse_from_rfc3339(start) {
            Ok(time) => Ok(time.timestamp_millis()),
            Err(_) => Err(SceneError::new(
                "start",
                format!("must be a time such as 2026-01-05T00:00:00Z, found {start:?}"),
            )),
        }
    }

    fn check_format(&self) -> Checked {
        let format = &self.format;
        match (format.kind, &format.template) {
            (FormatKind::Template, None) => {
                return refused("format.template", "type = \"template\" needs the template's text");
            }
            (FormatKind::Template, Some(_)) => {}
            (_, Some(_)) => {
                return refused("format.template", "is for type = \"template\" only");
            }
            _ if self.sensors.is_empty() => {
                return refused("sensors", "is empty: add a [[sensors]] with a name and fields");
            }
            _ => {}
        }
        if format.key_field.is_some() && format.kind != FormatKind::Template {
            return refused("format.key_field", "is for templates: others have the sensor's name");
        }
        if format.name_field.is_empty() || format.time_field.as_deref() == Some("") {
            return refused("format", "a field needs a name");
        }
        if format.name_field.len() > MAX_NAME_BYTES {
            let problem = format!("must have at most {MAX_NAME_BYTES} bytes");
            return refused("format.name_field", problem);
        }
        Ok(())
    }

    fn check_sensors(&self, group: &SensorGroup, place: &str) -> Checked {
        if group.name.is_empty() {
            return refused(place, "name is empty: it is the partition key");
        }
        if group.name.len() > MAX_NAME_BYTES {
            let problem = format!("name must have at most {MAX_NAME_BYTES} bytes: it is the key");
            return refused(place, problem);
        }
        if group.count == 0 {
            return refused(place, "count must be at least 1, found 0");
        }
        if group.fields.is_empty() && self.format.kind != FormatKind::Template {
            return refused(place, "fields is empty: add one with a name and a signal");
        }
        let of_format = [Some(&self.format.name_field), self.format.time_field.as_ref()];
        let mut names: BTreeSet<&String> = of_format.into_iter().flatten().collect();
        let first = self.sensors.first();
        let same = first.is_none_or(|first| {
            first.fields.iter().map(|field| &field.name).eq(group.fields.iter().map(|f| &f.name))
        });
        if self.format.kind == FormatKind::Csv && !same {
            return refused(place, "in CSV all sensors need the same fields in the same order");
        }
        for (field_idx, field) in group.fields.iter().enumerate() {
            let place = format!("{place}.fields[{field_idx}]");
            if field.name.is_empty() || !names.insert(&field.name) {
                let problem = format!("the name {:?} is empty or taken: rename it", field.name);
                return refused(&place, problem);
            }
            if field.decimals > 9 {
                return refused(
                    &place,
                    format!("decimals must be 0 to 9, found {}", field.decimals),
                );
            }
            if !(field.spread >= 0.0 && field.spread.is_finite()) {
                return refused(
                    &place,
                    format!("spread must be 0 or more, found {}", field.spread),
                );
            }
            self.check_signal(field, &format!("{place}.signal"))?;
        }
        Ok(())
    }

    fn check_signal(&self, field: &Field, place: &str) -> Checked {
        let finite = |name: &str, value: f64| match value.is_finite() {
            true => Ok(()),
            false => refused(place, format!("{name} must be a number, found {value}")),
        };
        let at_least_0 = |name: &str, value: f64| match value >= 0.0 && value.is_finite() {
            true => Ok(()),
            false => refused(place, format!("{name} must be 0 or more, found {value}")),
        };
        let above_0 = |name: &str, value: f64| match value > 0.0 && value.is_finite() {
            true => Ok(()),
            false => refused(place, format!("{name} must be above 0, found {value}")),
        };
        match &field.signal {
            Signal::Constant { value } => finite("value", *value),
            Signal::Uniform { min, max } => {
                finite("min", *min)?;
                finite("max", *max)?;
                match min <= max {
                    true => Ok(()),
                    false => refused(place, format!("min {min} is above max {max}: exchange them")),
                }
            }
            Signal::Normal { mean, std_dev } => {
                finite("mean", *mean)?;
                at_least_0("std_dev", *std_dev)
            }
            Signal::RandomWalk { start, step, pull, min, max } => {
                at_least_0("step", *step)?;
                if !(0.0..=1.0).contains(pull) {
                    return refused(place, format!("pull must be 0 to 1, found {pull}"));
                }
                let (low, high) = (min.unwrap_or(f64::MIN), max.unwrap_or(f64::MAX));
                match low < high && (low..=high).contains(start) {
                    true => Ok(()),
                    false => refused(place, format!("start {start} must be within min and max")),
                }
            }
            Signal::Sine { mean, amplitude, period_s, phase_s, noise, seasons, weekend } => {
                for (name, value) in [
                    ("mean", mean),
                    ("amplitude", amplitude),
                    ("phase_s", phase_s),
                    ("weekend", weekend),
                ] {
                    finite(name, *value)?;
                }
                at_least_0("noise", *noise)?;
                above_0("period_s", *period_s)?;
                for season in seasons {
                    finite("a season's amplitude", season.amplitude)?;
                    finite("a season's phase_s", season.phase_s)?;
                    above_0("a season's period_s", season.period_s)?;
                }
                Ok(())
            }
            Signal::Correlated { group, mean, std_dev, correlation } => {
                finite("mean", *mean)?;
                at_least_0("std_dev", *std_dev)?;
                if !(-1.0..=1.0).contains(correlation) {
                    return refused(
                        place,
                        format!("correlation must be -1 to 1, found {correlation}"),
                    );
                }
                match self.groups.iter().any(|known| known.name == *group) {
                    true => Ok(()),
                    false => {
                        refused(place, format!("there is no group {group:?}: add it to [[groups]]"))
                    }
                }
            }
            Signal::Counter { start, step, jitter, wrap } => {
                finite("start", *start)?;
                at_least_0("step", *step)?;
                at_least_0("jitter", *jitter)?;
                wrap.map_or(Ok(()), |wrap| above_0("wrap", wrap))
            }
            Signal::Category { values, weights } => {
                if values.is_empty() {
                    return refused(place, "values is empty: name at least one");
                }
                check_weights(values.len(), weights)
                    .map_err(|problem| SceneError::new(place, problem))
            }
        }
    }

    fn check_fault(&self, fault: &Fault, place: &str) -> Checked {
        let kind = fault.kind.as_str();
        if !(0.0..=1.0).contains(&fault.probability) {
            let found = fault.probability;
            return refused(place, format!("probability must be 0 to 1, found {found}"));
        }
        if fault.probability == 0.0 && fault.at.is_empty() {
            return refused(place, "it never begins: set probability, or at");
        }
        let (least, most) = fault.lasts.unwrap_or(Span::One(1.0)).bounds();
        if !(least >= 1.0 && least <= most && most <= MAX_LASTS) {
            return refused(
                place,
                format!("lasts must be 1 to {MAX_LASTS} readings, the less first"),
            );
        }
        for (name, span) in [("by", fault.by), ("to", fault.to)] {
            let (min, max) = span.unwrap_or(Span::One(0.0)).bounds();
            if !(min.is_finite() && max.is_finite() && min <= max) {
                return refused(place, format!("{name} must be a number, or two, the less first"));
            }
        }
        let needs = match fault.kind {
            FaultKind::Spike | FaultKind::Dip if fault.by.is_some() == fault.to.is_some() => {
                "either by or to"
            }
            FaultKind::Drift | FaultKind::LevelShift | FaultKind::NoiseBurst
                if fault.by.is_none() || fault.to.is_some() =>
            {
                "by, and has no to"
            }
            FaultKind::Stuck | FaultKind::Swapped | FaultKind::CorrelatedBreak
                if fault.by.is_some() || fault.to.is_some() =>
            {
                "neither by nor to"
            }
            FaultKind::Dropout if fault.by.is_some() => "no by",
            _ => "",
        };
        if !needs.is_empty() {
            return refused(place, format!("{kind} needs {needs}"));
        }
        if fault.kind == FaultKind::Swapped && fault.field.is_some() {
            return refused(place, "swapped sensors exchange all fields: leave field out");
        }
        let meant = |group: &&SensorGroup| may_fail(fault, group);
        if !self.sensors.iter().any(|group| meant(&group)) {
            return refused(place, format!("no sensor is named {:?}", fault.sensors));
        }
        let n_meant: f64 =
            self.sensors.iter().filter(meant).map(|group| f64::from(group.count)).sum();
        if fault.kind == FaultKind::Dropout && fault.to.is_none() && n_meant * most > MAX_SILENT {
            let problem = format!(
                "a dropout's sensors times lasts must be at most {MAX_SILENT}: lower lasts"
            );
            return refused(place, problem);
        }
        let can = |group: &SensorGroup| match fault.kind {
            FaultKind::Swapped => group.count > 1,
            _ => fault_field(fault, group).is_some(),
        };
        if self.sensors.iter().filter(meant).any(can) {
            return Ok(());
        }
        match (fault.kind, &fault.field) {
            (FaultKind::Swapped, _) => {
                refused(place, "needs a group of at least two sensors: raise its count")
            }
            (FaultKind::CorrelatedBreak, _) => {
                refused(place, "none of its sensors has such a field with a correlated signal")
            }
            (_, Some(field)) => refused(
                place,
                format!("none of its sensors has a field {field:?} that is a number"),
            ),
            (_, None) => refused(place, "none of its sensors has a field that is a number"),
        }
    }

    fn check_delivery(&self) -> Checked {
        let held = |place: &str, held: Option<Held>| {
            let Some(Held { probability, by_s }) = held else { return Ok(()) };
            let (min, max) = by_s.bounds();
            if !(0.0..=1.0).contains(&probability) {
                return refused(place, format!("probability must be 0 to 1, found {probability}"));
            }
            match min >= 0.0 && min <= max && max <= MAX_HELD_S {
                true => Ok(()),
                false => refused(place, format!("by_s must be 0 to {MAX_HELD_S}, the less first")),
            }
        };
        held("delivery.late", self.delivery.late)?;
        held("delivery.duplicate", self.delivery.duplicate)?;
        if self.delivery.late.is_some()
            && self.format.kind != FormatKind::Template
            && self.format.time_field.is_none()
        {
            let problem = "a record without a time cannot be late: set format.time_field";
            return refused("delivery.late", problem);
        }
        let Some(overtaken) = self.delivery.out_of_order else { return Ok(()) };
        let (min, max) = overtaken.by_records.bounds();
        // With 1 nothing would go by.
        match (0.0..1.0).contains(&overtaken.probability) && min >= 1.0 && min <= max && max <= 1e5
        {
            true => Ok(()),
            false => refused(
                "delivery.out_of_order",
                "probability must be 0 to below 1, by_records 1 to 100000, the less first",
            ),
        }
    }
}

/// 2026-01-05, a Monday.
const DEFAULT_START_MS: i64 = 1_767_571_200_000;

/// Whether there is a weight for each value, and not all are 0.
pub(crate) fn check_weights(n_values: usize, weights: &[f64]) -> Result<(), String> {
    if weights.is_empty() {
        return Ok(());
    }
    if weights.len() != n_values {
        return Err(format!("{n_values} values need as many weights, found {}", weights.len()));
    }
    let sum: f64 = weights.iter().sum();
    match weights.iter().all(|weight| *weight >= 0.0) && sum > 0.0 && sum.is_finite() {
        true => Ok(()),
        false => Err("weights must be 0 or more, and one of them above 0".to_owned()),
    }
}

/// Whether a fault may befall sensors of a group.
pub(crate) fn may_fail(fault: &Fault, group: &SensorGroup) -> bool {
    let mut names = group.names();
    fault.sensors.is_empty() || names.any(|name| is_meant(&fault.sensors, &name))
}

/// Whether a list of names, some with `*` at their end, has this one.
pub(crate) fn is_meant(names: &[String], name: &str) -> bool {
    names.is_empty()
        || names.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => pattern == name,
        })
}

/// The place of the field that a fault befalls.
pub(crate) fn fault_field(fault: &Fault, group: &SensorGroup) -> Option<usize> {
    let fits = |field: &Field| match &field.signal {
        Signal::Category { .. } => fault.kind == FaultKind::Dropout,
        Signal::Correlated { .. } => true,
        _ => fault.kind != FaultKind::CorrelatedBreak,
    };
    group.fields.iter().position(|field| {
        fits(field) && fault.field.as_ref().is_none_or(|name| *name == field.name)
    })
}

impl SensorGroup {
    /// The sensors' names.
    pub(crate) fn names(&self) -> impl Iterator<Item = String> {
        let Self { name, count, .. } = self;
        (1..=*count).map(move |number| match count {
            1 => name.clone(),
            _ => format!("{name}-{number}"),
        })
    }
}

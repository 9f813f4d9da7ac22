//! A scene at play: records, one after another.

use std::sync::Arc;

use crate::check::{SceneError, is_meant};
use crate::delivery::Post;
use crate::draw::{Purpose, Random};
use crate::fault::{Active, Plan};
use crate::rate::Timeline;
use crate::record::{
    Delivered, Label, SceneRecord, write_csv_text, write_fixed, write_json_text, write_time,
};
use crate::scene::{FaultKind, FormatKind, Scene, Signal, TimeFormat};
use crate::signal::{Cell, Course, Moment};
use crate::template::{Facts, Template};

/// The endless records of a scene. Sensors take turns.
///
/// ```
/// use eddy_sensors::{Player, Scene, SceneRecord};
///
/// let scene = Scene::named("walkthrough").expect("it ships");
/// let mut player = Player::new(&scene)?;
/// let mut record = SceneRecord::default();
/// player.next(&mut record);
/// assert_eq!(record.data, br#"{"iotName":"DemoSensor","iotValue":10}"#);
/// # Ok::<(), eddy_sensors::SceneError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Player {
    timeline: Timeline,
    post: Post,
    crew: Crew,
    // Leaves of a template's scene.
    n_sensors: usize,
}

/// The sensors and what they have in common.
#[derive(Clone, Debug)]
struct Crew {
    start_ms: i64,
    random: Random,
    template_random: Random,
    writer: Writer,
    kinds: Vec<Kind>,
    sensors: Vec<Sensor>,
    next_idx: usize,
    factors: Vec<f64>,
    memories: Vec<f64>,
    n_episodes: u64,
    n_made: u64,
    cells: Vec<Cell>,
}

/// What the sensors of a group share.
#[derive(Clone, Debug)]
struct Kind {
    plans: Vec<Plan>,
    // Before each value: `,"iotValue":`, or a comma.
    heads: Vec<Vec<u8>>,
    names: Vec<Arc<str>>,
    decimals: Vec<u8>,
    // The texts of categories as they are written.
    texts: Vec<Vec<Vec<u8>>>,
    // The sensors of the group: the first and the one after the last.
    range: (usize, usize),
}

#[derive(Clone, Debug)]
struct Sensor {
    name: Arc<str>,
    head: Arc<[u8]>,
    kind_idx: usize,
    plan_idxs: Box<[usize]>,
    courses: Box<[Course]>,
    // Ordinary values of the last reading.
    last: Box<[Cell]>,
    active: Option<Active>,
    n_readings: u64,
    // Readings that a dropout has swallowed, and its number.
    n_missing: u64,
    gap_episode: u64,
}

#[derive(Clone, Debug)]
struct Writer {
    kind: FormatKind,
    // With its separator.
    time_head: Option<Vec<u8>>,
    time_format: TimeFormat,
    template: Option<Arc<Template>>,
    key_field: Option<String>,
    header: Vec<u8>,
}

impl Player {
    /// Prepares a scene.
    ///
    /// # Errors
    /// It cannot be played; the error says what to change.
    pub fn new(scene: &Scene) -> Result<Self, SceneError> {
        scene.validate()?;
        let start_ms = scene.start_ms()?;
        let crew = Crew::new(scene, start_ms)?;
        Ok(Self {
            timeline: Timeline::new(&scene.rate, scene.seed, start_ms),
            post: Post::new(&scene.delivery, scene.seed),
            n_sensors: crew.sensors.len(),
            crew,
        })
    }

    /// Writes the next record into `out`, whose room is used again.
    pub fn next(&mut self, out: &mut SceneRecord) {
        let Self { timeline, post, crew, .. } = self;
        post.next(out, |record| crew.make(timeline, record));
    }

    /// How many sensors take turns.
    pub fn n_sensors(&self) -> usize {
        self.n_sensors
    }

    /// When the scene begins, in milliseconds since 1970.
    pub fn start_ms(&self) -> i64 {
        self.crew.start_ms
    }

    /// The names of the columns as the first line of a CSV file, without a line end; `None` for
    /// other formats.
    pub fn header(&self) -> Option<&[u8]> {
        let writer = &self.crew.writer;
        (writer.kind == FormatKind::Csv).then_some(&writer.header)
    }
}

impl Crew {
    fn new(scene: &Scene, start_ms: i64) -> Result<Self, SceneError> {
        let template = match &scene.format.template {
            Some(text) => {
                let fields = scene.sensors.iter().flat_map(|group| &group.fields);
                let fields: Vec<&str> = fields.map(|field| field.name.as_str()).collect();
                let template = Template::parse_for(text, &fields)
                    .map_err(|error| SceneError::new("format.template", error.to_string()))?;
                Some(Arc::new(template))
            }
            None => None,
        };
        let mut random = Random::new(scene.seed, Purpose::Readings);
        let mut spread = Random::new(scene.seed, Purpose::Sensors);
        let group_names: Vec<&str> = scene.groups.iter().map(|g| g.name.as_str()).collect();
        let factors = scene.groups.iter().map(|_| random.normal()).collect();
        let format = scene.format.kind;
        let is_csv = format == FormatKind::Csv;
        let (mut kinds, mut sensors) = (Vec::new(), Vec::new());
        for (kind_idx, group) in scene.sensors.iter().enumerate() {
            let plans: Vec<(usize, Plan)> = (scene.faults.iter().enumerate())
                .filter_map(|(idx, fault)| Some((idx, Plan::new(fault, group)?)))
                .collect();
            let first_idx = sensors.len();
            let courses: Vec<Course> =
                group.fields.iter().map(|field| Course::new(field, &group_names)).collect();
            for name in group.names() {
                let befalls = |(_, (fault_idx, _)): &(usize, &(usize, Plan))| {
                    is_meant(&scene.faults[*fault_idx].sensors, &name)
                };
                let plan_idxs = plans.iter().enumerate().filter(befalls).map(|(idx, _)| idx);
                let course = |(field, course): (&crate::scene::Field, &Course)| {
                    let offset =
                        if field.spread > 0.0 { field.spread * spread.normal() } else { 0.0 };
                    course.with_offset(offset)
                };
                sensors.push(Sensor {
                    plan_idxs: plan_idxs.collect(),
                    head: head(&scene.format.name_field, &name, is_csv).into(),
                    name: name.into(),
                    kind_idx,
                    courses: group.fields.iter().zip(&courses).map(course).collect(),
                    last: vec![Cell::Missing; group.fields.len()].into(),
                    active: None,
                    n_readings: 0,
                    n_missing: 0,
                    gap_episode: 0,
                });
            }
            let separator = |name: &str| if is_csv { vec![b','] } else { key(name) };
            let texts = |field: &crate::scene::Field| match &field.signal {
                Signal::Category { values, .. } => {
                    values.iter().map(|text| quoted(text, format)).collect()
                }
                _ => Vec::new(),
            };
            kinds.push(Kind {
                plans: plans.into_iter().map(|(_, plan)| plan).collect(),
                heads: group.fields.iter().map(|field| separator(&field.name)).collect(),
                names: group.fields.iter().map(|field| field.name.as_str().into()).collect(),
                decimals: group.fields.iter().map(|field| field.decimals).collect(),
                texts: group.fields.iter().map(texts).collect(),
                range: (first_idx, sensors.len()),
            });
        }
        if sensors.is_empty() {
            // A template alone.
            let name: Arc<str> = "template".into();
            sensors.push(Sensor {
                head: Vec::new().into(),
                name,
                kind_idx: 0,
                plan_idxs: Box::default(),
                courses: Box::default(),
                last: Box::default(),
                active: None,
                n_readings: 0,
                n_missing: 0,
                gap_episode: 0,
            });
            kinds.push(Kind {
                plans: Vec::new(),
                heads: Vec::new(),
                names: Vec::new(),
                decimals: Vec::new(),
                texts: Vec::new(),
                range: (0, 1),
            });
        }
        let time_field = scene.format.time_field.as_deref();
        let columns = [Some(scene.format.name_field.as_str()), time_field].into_iter().flatten();
        let fields = scene.sensors.first().into_iter().flat_map(|group| &group.fields);
        let mut header = Vec::new();
        for (idx, name) in columns.chain(fields.map(|field| field.name.as_str())).enumerate() {
            if idx > 0 {
                header.push(b',');
            }
            write_csv_text(name, &mut header);
        }
        Ok(Self {
            start_ms,
            random,
            template_random: Random::new(scene.seed, Purpose::Template),
            writer: Writer {
                kind: scene.format.kind,
                time_head: time_field.map(|name| if is_csv { vec![b','] } else { key(name) }),
                time_format: scene.format.time_format,
                template,
                key_field: scene.format.key_field.clone(),
                header,
            },
            kinds,
            sensors,
            next_idx: 0,
            factors,
            memories: scene.groups.iter().map(|group| group.memory).collect(),
            n_episodes: 0,
            n_made: 0,
            cells: Vec::new(),
        })
    }

    /// The next reading that is sent in its turn.
    fn make(&mut self, timeline: &mut Timeline, out: &mut SceneRecord) {
        loop {
            let due_us = timeline.next_us();
            let sensor_idx = self.next_idx;
            self.next_idx = (sensor_idx + 1) % self.sensors.len();
            if sensor_idx == 0 {
                for (factor, memory) in self.factors.iter_mut().zip(&self.memories) {
                    let news = (1.0 - memory * memory).sqrt() * self.random.normal();
                    *factor = *factor * memory + news;
                }
            }
            let time_ms = self.start_ms + due_us.div_euclid(1000);
            let Some(label) = self.read(sensor_idx, time_ms) else { continue };
            out.due_us = due_us;
            out.time_ms = time_ms;
            out.label = label;
            out.delivered = Delivered::InTurn;
            self.write(sensor_idx, out);
            self.n_made += 1;
            return;
        }
    }

    /// Reads a sensor into `cells`; its label, or `None` where nothing comes.
    fn read(&mut self, sensor_idx: usize, time_ms: i64) -> Option<Option<Label>> {
        self.begin_fault(sensor_idx);
        #[expect(clippy::cast_precision_loss, reason = "exact for any time of use")]
        let now_s = time_ms as f64 / 1000.0;
        let moment = Moment { now_s, factors: &self.factors };
        let sensor = &mut self.sensors[sensor_idx];
        let kind = &self.kinds[sensor.kind_idx];
        let plan = sensor.active.as_ref().map(|active| &kind.plans[active.plan_idx]);
        self.cells.clear();
        for (idx, course) in sensor.courses.iter_mut().enumerate() {
            let fails = plan.filter(|plan| plan.field_idx.is_none_or(|field_idx| field_idx == idx));
            let replaced = fails.is_some_and(Plan::replaces);
            if replaced && !course.has_memory() {
                self.cells.push(sensor.last[idx]);
            } else {
                let apart = fails.is_some_and(|plan| plan.kind == FaultKind::CorrelatedBreak);
                self.cells.push(course.next(&moment, apart, &mut self.random));
            }
        }
        let n_missing = std::mem::take(&mut sensor.n_missing);
        sensor.n_readings += 1;
        let Some(active) = &mut sensor.active else {
            sensor.last.copy_from_slice(&self.cells);
            let gap = |n_missing| Label {
                fault: FaultKind::Dropout,
                episode: sensor.gap_episode,
                field: None,
                n_missing,
            };
            return Some((n_missing > 0).then(|| gap(n_missing)));
        };
        let plan = &kind.plans[active.plan_idx];
        let silent = plan.kind == FaultKind::Dropout && !plan.replaces();
        let label = Label {
            fault: plan.kind,
            episode: active.episode,
            field: plan.field.clone(),
            n_missing: 0,
        };
        let partner_idx = active.partner_idx;
        for (idx, cell) in self.cells.iter_mut().enumerate() {
            let ordinary = *cell;
            if plan.field_idx.is_none_or(|field_idx| field_idx == idx) {
                if let Some(value) = plan.replacement(kind.decimals[idx], &mut self.random) {
                    // A category has no number.
                    let is_text = !kind.texts[idx].is_empty();
                    *cell = if is_text { Cell::Missing } else { Cell::Number(value) };
                } else if let (Cell::Number(value), last) = (ordinary, sensor.last[idx]) {
                    let before = if let Cell::Number(last) = last { last } else { value };
                    *cell = Cell::Number(plan.apply(active, value, before, &mut self.random));
                }
            }
            // A value that sticks does so until the fault is over, be it the sensor's first; what
            // takes a value's place is none of the signal's.
            let sticks = plan.kind == FaultKind::Stuck
                && plan.field_idx == Some(idx)
                && sensor.last[idx] != Cell::Missing;
            if !sticks && !plan.replaces() {
                sensor.last[idx] = ordinary;
            }
        }
        active.n_done += 1;
        let is_over = active.n_done == active.n_readings;
        if is_over {
            sensor.active = None;
        }
        if silent {
            sensor.n_missing = n_missing + 1;
            sensor.gap_episode = label.episode;
            return None;
        }
        if let Some(partner_idx) = partner_idx {
            self.cells.copy_from_slice(&self.sensors[partner_idx].last);
        }
        Some(Some(label))
    }

    /// Draws whether a fault begins at a sensor that has none.
    fn begin_fault(&mut self, sensor_idx: usize) {
        let sensor = &self.sensors[sensor_idx];
        // The first reading after a gap comes, to show it.
        if sensor.active.is_some() || sensor.n_missing > 0 {
            return;
        }
        let kind = &self.kinds[sensor.kind_idx];
        for &plan_idx in &sensor.plan_idxs {
            let plan = &kind.plans[plan_idx];
            if !plan.begins(sensor.n_readings, &mut self.random) {
                continue;
            }
            let partner_idx = (plan.kind == FaultKind::Swapped)
                .then(|| if sensor_idx + 1 < kind.range.1 { sensor_idx + 1 } else { kind.range.0 });
            // Both have read something, and the other one has no fault.
            let is_free = |idx: usize| {
                let partner = &self.sensors[idx];
                partner.active.is_none() && partner.n_missing == 0 && partner.n_readings > 0
            };
            if partner_idx.is_some_and(|idx| !is_free(idx) || sensor.n_readings == 0) {
                continue;
            }
            let mut active = plan.begin(plan_idx, self.n_episodes, &mut self.random);
            self.n_episodes += 1;
            active.partner_idx = partner_idx;
            if let Some(idx) = partner_idx {
                let mut other = active.clone();
                other.partner_idx = Some(sensor_idx);
                self.sensors[idx].active = Some(other);
            }
            self.sensors[sensor_idx].active = Some(active);
            return;
        }
    }

    fn write(&mut self, sensor_idx: usize, out: &mut SceneRecord) {
        let sensor = &self.sensors[sensor_idx];
        let kind = &self.kinds[sensor.kind_idx];
        out.sensor = Arc::clone(&sensor.name);
        out.data.clear();
        if let Some(template) = &self.writer.template {
            let facts = Facts {
                time_ms: out.time_ms,
                n_record: self.n_made,
                sensor: &sensor.name,
                fields: &kind.names,
                decimals: &kind.decimals,
                cells: &self.cells,
                texts: &kind.texts,
            };
            template.render(&facts, &mut self.template_random, &mut out.data);
            out.key = self.template_key(sensor_idx, &out.data);
            return;
        }
        out.key = Arc::clone(&sensor.name);
        out.data.extend_from_slice(&sensor.head);
        let is_json = self.writer.kind == FormatKind::Json;
        if let Some(head) = &self.writer.time_head {
            out.data.extend_from_slice(head);
            write_time(self.writer.time_format, out.time_ms, is_json, &mut out.data);
        }
        for (idx, cell) in self.cells.iter().enumerate() {
            out.data.extend_from_slice(&kind.heads[idx]);
            let is_written = match *cell {
                Cell::Number(value) => write_fixed(value, kind.decimals[idx], &mut out.data),
                Cell::Category(text_idx) => {
                    out.data.extend_from_slice(&kind.texts[idx][text_idx]);
                    true
                }
                Cell::Missing => false,
            };
            if !is_written && is_json {
                out.data.extend_from_slice(b"null");
            }
        }
        if is_json {
            out.data.push(b'}');
        }
    }

    /// The partition key of a template's record: that of its field, the sensor's name, or a random
    /// one where there are no sensors.
    fn template_key(&mut self, sensor_idx: usize, data: &[u8]) -> Arc<str> {
        let of_field = self.writer.key_field.as_ref().and_then(|field| {
            let record: serde_json::Value = serde_json::from_slice(data).ok()?;
            match record.get(field)? {
                serde_json::Value::String(text) if !text.is_empty() => Some(text.as_str().into()),
                serde_json::Value::String(_) | serde_json::Value::Null => None,
                other => Some(other.to_string().into()),
            }
        });
        let sensor = &self.sensors[sensor_idx];
        of_field.unwrap_or_else(|| match sensor.courses.is_empty() && sensor.head.is_empty() {
            true => self.template_random.below(10_000_000_000).to_string().into(),
            false => Arc::clone(&sensor.name),
        })
    }
}

/// `{"iotName":"DemoSensor"`, or the name as CSV.
fn head(field: &str, name: &str, is_csv: bool) -> Vec<u8> {
    let mut head = Vec::new();
    if is_csv {
        write_csv_text(name, &mut head);
        return head;
    }
    head.push(b'{');
    write_json_text(field, &mut head);
    head.push(b':');
    write_json_text(name, &mut head);
    head
}

/// `,"iotValue":`.
fn key(field: &str) -> Vec<u8> {
    let mut key = vec![b','];
    write_json_text(field, &mut key);
    key.push(b':');
    key
}

/// A category as records have it.
fn quoted(text: &str, format: FormatKind) -> Vec<u8> {
    let mut out = Vec::new();
    match format {
        FormatKind::Json => write_json_text(text, &mut out),
        FormatKind::Csv => write_csv_text(text, &mut out),
        FormatKind::Template => out.extend_from_slice(text.as_bytes()),
    }
    out
}

//! Streams and pumps as a graph: pumps in the order of their flow, and the streams that leave.

use std::fmt::Write as _;

use super::{Planned, Planner};
use crate::error::SqlError;
use crate::expr::time::Step;
use crate::expr::{Environment, cast};
use crate::input::METADATA;
use crate::options::Options;
use crate::parse::{Pump, Statement};
use crate::run::{Node, Project};
use crate::scope::{Field, ROWTIME};
use crate::types::Type;

/// An in-application stream.
#[derive(Clone, Debug)]
pub(crate) struct StreamPlan {
    pub(crate) name: String,
    pub(crate) fields: Vec<Field>,
    pub(crate) is_source: bool,
    /// Whether its rows leave.
    pub(crate) is_output: bool,
}

/// A pump, ready to run.
#[derive(Debug)]
pub(crate) struct PumpPlan {
    pub(crate) name: String,
    pub(crate) into: usize,
    pub(crate) node: Node,
    pub(crate) reads: Vec<usize>,
    /// Whether other pumps fill the same stream.
    pub(crate) shares: bool,
}

/// The whole application.
#[derive(Debug)]
pub(crate) struct Graph {
    pub(crate) streams: Vec<StreamPlan>,
    /// In an order in which every pump comes after those that fill what it reads.
    pub(crate) pumps: Vec<PumpPlan>,
    pub(crate) errors_leave: bool,
    pub(crate) warnings: Vec<String>,
}

/// The stream of rows at fault.
const ERROR_STREAM: &str = "error_stream";

/// Plans an application. `parallel` are streams of the source beside the first, which are empty.
pub(crate) fn plan(
    statements: Vec<Statement>,
    options: &Options,
    has_metadata: bool,
    parallel: Vec<String>,
) -> Result<Graph, SqlError> {
    let mut streams = vec![source(options, has_metadata)?];
    let mut warnings = Vec::new();
    for name in parallel {
        let first = &streams[0];
        warnings.push(format!(
            "stream {name}: every record comes in {}; the service spread them by input parallelism",
            first.name
        ));
        let stream = StreamPlan { name, ..first.clone() };
        streams.push(stream);
    }
    let mut pumps = Vec::new();
    for statement in statements {
        match statement {
            Statement::Stream(decl) => {
                let fields = decl.columns.into_iter().map(|(name, it)| Field::new(name.text, it));
                let plan = StreamPlan {
                    name: decl.name.text,
                    fields: fields.collect(),
                    is_source: false,
                    is_output: false,
                };
                // The latest declaration counts: CREATE OR REPLACE.
                match streams.iter().position(|stream| stream.name == plan.name) {
                    Some(known) if streams[known].is_source => {
                        let construct = format!("stream {}", plan.name);
                        return Err(SqlError::new(decl.name.place, construct, "is the source's"));
                    }
                    Some(known) => streams[known] = plan,
                    None => streams.push(plan),
                }
            }
            Statement::Pump(pump) => {
                pumps.retain(|known: &Pump| known.name.text != pump.name.text);
                pumps.push(pump);
            }
        }
    }
    let mut planned = Vec::new();
    for pump in pumps {
        planned.push(pump_plan(pump, &streams, options, &mut warnings)?);
    }
    let mut pumps = in_order(planned)?;
    let filled: Vec<usize> = pumps.iter().map(|pump| pump.into).collect();
    for pump in &mut pumps {
        pump.shares = filled.iter().filter(|into| **into == pump.into).count() > 1;
    }
    let errors_leave = outputs(&mut streams, &pumps, options)?;
    for stream in streams.iter().filter(|stream| !stream.is_source) {
        let is_filled = pumps.iter().any(|pump| streams[pump.into].name == stream.name);
        if !is_filled {
            warnings.push(format!("stream {}: no pump fills it", stream.name));
        }
    }
    Ok(Graph { streams, pumps, errors_leave, warnings })
}

/// The streams that input parallelism made beside the first, `.._002` to `.._064`, if the text names
/// them.
pub(crate) fn parallel(upper: &str, source: &str) -> Vec<String> {
    let Some(prefix) = source.strip_suffix("001") else { return Vec::new() };
    let names = (2..=64).map(|number| format!("{prefix}{number:03}"));
    names.filter(|name| upper.contains(&name.to_uppercase())).collect()
}

fn source(options: &Options, has_metadata: bool) -> Result<StreamPlan, SqlError> {
    let mut fields = Vec::new();
    for column in &options.schema.columns {
        let sql_type = Type::from_sql(column.sql_type).ok_or_else(|| {
            let problem = format!("no input has the type {}", column.sql_type);
            SqlError::new(crate::Place::default(), format!("column {}", column.name), problem)
        })?;
        fields.push(Field::new(&column.name, sql_type));
    }
    if has_metadata {
        fields.extend(
            METADATA
                .iter()
                .map(|(name, sql_type)| Field { hidden: true, ..Field::new(*name, *sql_type) }),
        );
    }
    let name = options.source.clone();
    Ok(StreamPlan { name, fields, is_source: true, is_output: false })
}

fn pump_plan(
    pump: Pump,
    streams: &[StreamPlan],
    options: &Options,
    warnings: &mut Vec<String>,
) -> Result<PumpPlan, SqlError> {
    let place = pump.into.place;
    let construct = format!("INSERT INTO {}", pump.into.text);
    let into = streams.iter().position(|stream| stream.name == pump.into.text);
    let into = into.ok_or_else(|| {
        SqlError::new(place, &construct, "no such stream is declared")
            .instead("declare it: CREATE OR REPLACE STREAM .. (column type, ..)")
    })?;
    if streams[into].is_source {
        return Err(SqlError::new(place, construct, "the source fills it")
            .instead("declare a stream of another name"));
    }
    let mut planner = Planner {
        streams,
        tables: &options.tables,
        marks: &pump.marks,
        environment: Environment { start_ms: options.start_ms },
        seed: options.seed,
        warnings,
    };
    let Planned { node, scope } = planner.query(&pump.query)?;
    let targets = &streams[into].fields;
    // Which column of the query each column of the stream is.
    let mut from: Vec<Option<usize>> = vec![None; targets.len()];
    let mut rowtime = None;
    let n_values = scope.fields.len();
    match &pump.columns {
        None => {
            if n_values != targets.len() {
                let problem =
                    format!("{n_values} columns are selected, the stream has {}", targets.len());
                return Err(SqlError::new(place, construct, problem)
                    .instead("select as many columns, or name them: INSERT INTO \"S\" (a, b)"));
            }
            (0..n_values).for_each(|idx| from[idx] = Some(idx));
        }
        Some(columns) => {
            if columns.len() != n_values {
                let problem = format!("{} columns are named, {n_values} selected", columns.len());
                return Err(SqlError::new(place, construct, problem));
            }
            for (idx, column) in columns.iter().enumerate() {
                match targets.iter().position(|target| target.name == column.text) {
                    Some(target) => from[target] = Some(idx),
                    None if column.text == ROWTIME => {
                        let field = &scope.fields[idx];
                        if !field.sql_type.is_time() {
                            let problem = format!("{} is no time", field.sql_type);
                            return Err(SqlError::new(column.place, "ROWTIME", problem)
                                .instead("select a TIMESTAMP for it"));
                        }
                        // The time that the rows have already needs no setting.
                        if field.step != Some(Step::Ms(1)) {
                            rowtime = Some(idx);
                        }
                    }
                    None => {
                        let construct = format!("column {}", column.text);
                        let problem = format!("stream {} has none", pump.into.text);
                        return Err(SqlError::new(column.place, construct, problem));
                    }
                }
            }
        }
    }
    let mut values = Vec::new();
    let mut changes = n_values != targets.len();
    for (idx, (target, from)) in targets.iter().zip(from).enumerate() {
        let typed = match from {
            Some(from) => scope.column(from),
            None => crate::expr::Typed::literal(datafusion_common::ScalarValue::Null, Type::Null),
        };
        let found = typed.sql_type;
        changes |= found != target.sql_type || from != Some(idx);
        values.push(cast(typed, target.sql_type).ok_or_else(|| {
            let problem = format!(
                "column {} is {}, what is selected for it {found}",
                target.name, target.sql_type
            );
            SqlError::new(place, &construct, problem).instead("convert it by CAST")
        })?);
    }
    let schema = scope.arrow_schema();
    let node = match rowtime {
        Some(idx) => {
            let time = cast(scope.column(idx), Type::Timestamp).expect("a time is a timestamp");
            Node::apply(Project::with_rowtime(values, time, schema), node)
        }
        None if changes => Node::apply(Project::new(values, schema), node),
        None => node,
    };
    let mut reads = Vec::new();
    node.streams(&mut reads);
    reads.sort_unstable();
    reads.dedup();
    Ok(PumpPlan { name: pump.name.text, into, node, reads, shares: false })
}

/// Pumps after those that fill what they read; the order of the text where either would do.
fn in_order(mut pumps: Vec<PumpPlan>) -> Result<Vec<PumpPlan>, SqlError> {
    let mut ordered: Vec<PumpPlan> = Vec::new();
    while !pumps.is_empty() {
        let ready = pumps
            .iter()
            .position(|pump| !pumps.iter().any(|other| pump.reads.contains(&other.into)));
        match ready {
            Some(ready) => ordered.push(pumps.remove(ready)),
            None => {
                let names: Vec<&str> = pumps.iter().map(|pump| pump.name.as_str()).collect();
                let construct = format!("pumps {}", names.join(", "));
                let problem = "they feed each other in a circle";
                return Err(SqlError::new(crate::Place::default(), construct, problem));
            }
        }
    }
    Ok(ordered)
}

/// Which streams leave; whether the error stream does as one of the outputs.
fn outputs(
    streams: &mut [StreamPlan],
    pumps: &[PumpPlan],
    options: &Options,
) -> Result<bool, SqlError> {
    let Some(outputs) = &options.outputs else {
        for (idx, stream) in streams.iter_mut().enumerate() {
            let is_filled = pumps.iter().any(|pump| pump.into == idx);
            let is_read = pumps.iter().any(|pump| pump.reads.contains(&idx));
            stream.is_output = is_filled && !is_read;
        }
        return Ok(false);
    };
    let mut errors_leave = false;
    for output in outputs {
        if output.eq_ignore_ascii_case(ERROR_STREAM) {
            errors_leave = true;
            continue;
        }
        let known = streams.iter().position(|stream| stream.name == *output);
        let known =
            known.or_else(|| streams.iter().position(|it| it.name.eq_ignore_ascii_case(output)));
        match known {
            Some(known) => streams[known].is_output = true,
            None => {
                let construct = format!("output {output}");
                let problem = "the application has no such stream";
                return Err(SqlError::new(crate::Place::default(), construct, problem));
            }
        }
    }
    Ok(errors_leave)
}

impl Graph {
    /// The streams and pumps, a line a pump.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for pump in &self.pumps {
            let reads: Vec<&str> =
                pump.reads.iter().map(|idx| self.streams[*idx].name.as_str()).collect();
            let into = &self.streams[pump.into];
            let end = if into.is_output { " ->" } else { "" };
            writeln!(text, "{} -> [{}] -> {}{end}", reads.join(", "), pump.name, into.name)
                .expect("a String takes everything");
        }
        text
    }

    /// The graph in Graphviz' language.
    pub(crate) fn dot(&self) -> String {
        let quoted =
            |name: &str| format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""));
        let mut text = String::from("digraph application {\n  rankdir=LR;\n");
        for stream in &self.streams {
            let shape = match (stream.is_source, stream.is_output) {
                (true, _) => "cds",
                (_, true) => "doubleoctagon",
                _ => "box",
            };
            writeln!(text, "  {} [shape={shape}];", quoted(&stream.name))
                .expect("a String takes everything");
        }
        for pump in &self.pumps {
            for read in &pump.reads {
                writeln!(
                    text,
                    "  {} -> {} [label={}];",
                    quoted(&self.streams[*read].name),
                    quoted(&self.streams[pump.into].name),
                    quoted(&pump.name)
                )
                .expect("a String takes everything");
            }
        }
        text.push_str("}\n");
        text
    }
}

//! An application from its files: SQL or a definition, schema, reference data.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use eddy_record::{
    Column, DecodeLimits, Decoder, Record, Schema, SqlType, discover, parse_timestamp_ms,
};
use eddy_sql::{Application, Definition, Options, ReferenceTable, SqlError, declared_columns};

use super::SqlArgs;
use super::rowtime::{Rowtime, now_ms};

/// An application, ready for records.
pub(super) struct Loaded {
    pub(super) application: Application,
    pub(super) decoder: Decoder,
    pub(super) rowtime: Rowtime,
}

/// Gives the first lines of the source.
type Sample<'a> = &'a mut dyn FnMut() -> Result<Vec<Vec<u8>>>;

/// Reads everything. Without a source to look at, unknown columns are those that the application
/// declares itself.
pub(super) fn load(path: &Path, args: &SqlArgs, sample: Option<Sample<'_>>) -> Result<Loaded> {
    let cannot = || format!("cannot read {}", path.display());
    let text = fs::read_to_string(path).with_context(cannot)?;
    let is_sql = path.extension().is_some_and(|it| it == "sql");
    let definition = if !is_sql {
        Some(Definition::read(&text).with_context(|| path.display().to_string())?)
    } else {
        None
    };
    if let Some(arn) = definition.as_ref().and_then(|it| it.preprocessing_arn.as_ref())
        && args.preprocess.is_none()
    {
        bail!(
            "{}: records are pre-processed by {arn}; write what it does as a command that reads \
             and writes NDJSON, and give it with --preprocess CMD",
            path.display()
        );
    }
    let mut is_guessed = false;
    // What the records have beside the application's columns.
    let mut decoded = None;
    let schema = match (&args.schema, &definition) {
        (Some(file), _) => {
            let text = fs::read_to_string(file)
                .with_context(|| format!("cannot read {}", file.display()))?;
            Schema::from_input_schema_json(&text).with_context(|| file.display().to_string())?
        }
        (None, Some(definition)) => definition.schema.clone(),
        (None, None) => match sample {
            Some(sample) => {
                let found = decoded.insert(discovered(&sample()?)?);
                let mut schema = found.clone();
                // A field that only is the rows' time is no column.
                schema.columns.retain(|column| column.name != args.rowtime);
                schema
            }
            None => {
                is_guessed = true;
                declared_columns(&text).map_err(|error| at(path, &error))?
            }
        },
    };
    let mut options = Options::new(schema.clone());
    options.seed = args.seed;
    options.start_ms = match &args.start_time {
        None => now_ms(),
        Some(text) => {
            parse_timestamp_ms(text).ok_or_else(|| anyhow!("--start-time {text}: no ISO 8601"))?
        }
    };
    for reference in &args.reference {
        options.tables.push(table(reference, definition.as_ref())?);
    }
    let mut code = text.as_str();
    if let Some(definition) = &definition {
        code = &definition.code;
        options.source.clone_from(&definition.source);
        if !definition.outputs.is_empty() {
            let streams = definition.outputs.iter().map(|output| output.stream.clone());
            options.outputs = Some(streams.collect());
        }
        for wanted in &definition.references {
            if !args.reference.iter().any(|it| it.starts_with(&format!("{}=", wanted.table))) {
                bail!(
                    "{}: reference data {} is {} in {}; fetch it and give it with --reference {}=FILE",
                    path.display(),
                    wanted.table,
                    wanted.key,
                    wanted.bucket_arn,
                    wanted.table
                );
            }
        }
    }
    let application = if is_guessed {
        guessing(code, options).map_err(|error| {
            at(path, &error).context("without --schema the source's columns are guessed")
        })?
    } else {
        Application::new(code, options).map_err(|error| at(path, &error))?
    };
    let mut decoded = decoded.unwrap_or_else(|| schema.clone());
    let rowtime = Rowtime::new(&args.rowtime, &schema, &mut decoded).map_err(|it| anyhow!(it))?;
    let decoder = Decoder::new(Arc::new(decoded), DecodeLimits::default())?;
    Ok(Loaded { application, decoder, rowtime })
}

/// Plans an application whose source nobody knows: a column that is not found is taken for one of
/// the source's, a DOUBLE, as long as that helps.
fn guessing(code: &str, mut options: Options) -> std::result::Result<Application, SqlError> {
    loop {
        let error = match Application::new(code, options.clone()) {
            Ok(application) => return Ok(application),
            Err(error) => error,
        };
        let name = error.construct.strip_prefix("column ").filter(|_| error.problem == "not found");
        match name {
            Some(name) if options.schema.column_idx(name).is_none() => {
                options.schema.columns.push(Column {
                    name: name.to_owned(),
                    sql_type: SqlType::Double,
                    mapping: None,
                    nullable: true,
                });
            }
            _ => return Err(error),
        }
    }
}

fn at(path: &Path, error: &SqlError) -> anyhow::Error {
    anyhow!("{}: {error}", path.display())
}

/// What the first lines show.
fn discovered(lines: &[Vec<u8>]) -> Result<Schema> {
    if lines.is_empty() {
        bail!("the source is empty: give its columns with --schema");
    }
    let found = discover(lines.iter().map(Vec::as_slice))
        .context("no schema can be made from the first lines: give one with --schema")?;
    found.notes.iter().for_each(|note| eprintln!("eddy: {note}"));
    let mut schema = found.schema;
    for column in &mut schema.columns {
        column.nullable = true;
    }
    Ok(schema)
}

/// `TABLE=FILE`; the columns are those of the definition, or what the file shows.
fn table(argument: &str, definition: Option<&Definition>) -> Result<ReferenceTable> {
    let (name, file) = argument
        .split_once('=')
        .ok_or_else(|| anyhow!("--reference {argument}: write TABLE=FILE"))?;
    let bytes = fs::read(file).with_context(|| format!("cannot read {file}"))?;
    let known = definition
        .and_then(|definition| definition.references.iter().find(|it| it.table == name))
        .map(|reference| reference.schema.clone());
    let mut rows = bytes.as_slice();
    let schema = match known {
        Some(schema) => schema,
        None => {
            let header = file.ends_with(".csv").then(|| header_of(&mut rows));
            // A payload has a largest size, a file has none: it is looked at by its lines, unless it
            // is one array.
            let is_array = rows.trim_ascii_start().starts_with(b"[");
            let lines = rows.split(|byte| *byte == b'\n' && !is_array);
            let lines = lines.filter(|line| !line.trim_ascii().is_empty());
            let found = discover(lines).with_context(|| file.to_owned())?;
            found.notes.iter().for_each(|note| eprintln!("eddy: {file}: {note}"));
            let mut schema = found.schema;
            for column in &mut schema.columns {
                column.nullable = true;
            }
            if let Some(names) = header {
                if names.len() != schema.columns.len() {
                    bail!("{file}: its first line does not name its columns");
                }
                for (column, name) in schema.columns.iter_mut().zip(names) {
                    (column.name, column.mapping) = (name, None);
                }
            }
            schema
        }
    };
    let limits = DecodeLimits { max_record_bytes: usize::MAX };
    let decoder = Decoder::new(Arc::new(schema.clone()), limits)?;
    let mut records = Vec::new();
    decoder.decode(rows, &mut records);
    let records: Vec<Record> =
        records.into_iter().collect::<Result<_, _>>().with_context(|| file.to_owned())?;
    Ok(ReferenceTable::new(name, &schema, &records))
}

/// Takes the first line off: the names of the columns.
fn header_of(rows: &mut &[u8]) -> Vec<String> {
    let end = rows.iter().position(|byte| *byte == b'\n').unwrap_or(rows.len());
    let line = String::from_utf8_lossy(&rows[..end]).into_owned();
    *rows = &rows[(end + 1).min(rows.len())..];
    line.trim_end().split(',').map(|name| name.trim().trim_matches('"').to_owned()).collect()
}

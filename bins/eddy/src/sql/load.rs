//! An application from its files: SQL or a definition, schema, reference data.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use eddy_pipeline::{beside, fetch_reference};
use eddy_record::{Column, DecodeLimits, Decoder, Schema, SqlType, discover, parse_timestamp_ms};
use eddy_sql::{
    Application, DefinedReference, Definition, Options, ReferenceTable, Rowtime, SqlError,
    declared_columns,
};

use super::{SqlArgs, now_ms};

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
    let reads_source = sample.is_some();
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
        let has_file = |it: &&DefinedReference| {
            args.reference.iter().any(|given| given.starts_with(&format!("{}=", it.table)))
        };
        for wanted in definition.references.iter().filter(|it| !has_file(it)) {
            // A check does not look at what only a run reads.
            options.tables.push(if reads_source {
                fetched(wanted, &definition.input_arn)?
            } else {
                ReferenceTable::new(&wanted.table, &wanted.schema, &[])
            });
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

/// Fetches reference data from S3, in the region of the application's input.
fn fetched(wanted: &DefinedReference, input_arn: &str) -> Result<ReferenceTable> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(fetch_reference(wanted, &beside(input_arn)))?)
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
        .map(|reference| &reference.schema);
    ReferenceTable::read(name, &bytes, file.ends_with(".csv"), known)
        .map_err(|error| anyhow!("{file}: {error}"))
}

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
    pub(super) sql: String,
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
    let mut decoded = decoded.unwrap_or_else(|| schema.clone());
    let rowtime = Rowtime::new(&args.rowtime, &schema, &mut decoded).map_err(|it| anyhow!(it))?;
    let named = rowtime.name(&schema);
    let mut options = Options::new(schema);
    options.rowtime = named;
    options.lateness_ms =
        rowtime.lateness_ms(args.lateness_ms).map_err(|it| anyhow!("--lateness-ms: {it}"))?;
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
    let decoder = Decoder::new(Arc::new(decoded), DecodeLimits::default())?;
    Ok(Loaded { application, sql: code.to_owned(), decoder, rowtime })
}

/// Fetches reference data from S3, in the region of the application's input.
fn fetched(wanted: &DefinedReference, input_arn: &str) -> Result<ReferenceTable> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(fetch_reference(wanted, &beside(input_arn)))?)
}

/// What a column of an unknown source may be.
const GUESSES: [SqlType; 3] =
    [SqlType::Double, SqlType::Timestamp, SqlType::Varchar { max_chars: 65_535 }];

/// Plans an application whose source nobody knows. A column that is not found is taken for one of the
/// source's, a DOUBLE; where that, or what the application's own streams say of it, does not fit, the
/// columns that are named next behind the place are taken for something else, each for each once.
fn guessing(code: &str, mut options: Options) -> std::result::Result<Application, SqlError> {
    let mut tried: Vec<(usize, SqlType)> = Vec::new();
    loop {
        let error = match Application::new(code, options.clone()) {
            Ok(application) => return Ok(application),
            Err(error) => error,
        };
        let name = error.construct.strip_prefix("column ").filter(|_| error.problem == "not found");
        if let Some(name) = name
            && options.schema.column_idx(name).is_none()
        {
            options.schema.columns.push(Column {
                name: name.to_owned(),
                sql_type: GUESSES[0],
                mapping: None,
                nullable: true,
            });
            continue;
        }
        let columns = named_behind(code, &error, &options.schema);
        let others = columns.into_iter().flat_map(|idx| GUESSES.map(|sql_type| (idx, sql_type)));
        let better = others.filter(|other| !tried.contains(other)).find_map(|other| {
            let mut options = options.clone();
            options.schema.columns[other.0].sql_type = other.1;
            match Application::new(code, options.clone()) {
                Err(still) if still.place == error.place => None,
                _ => Some((other, options)),
            }
        });
        let (other, changed) = better.ok_or(error)?;
        tried.push(other);
        options = changed;
    }
}

/// The columns that are named at the error's place and behind it, the nearest first.
fn named_behind(code: &str, error: &SqlError, schema: &Schema) -> Vec<usize> {
    let line = usize::try_from(error.place.line).unwrap_or(0);
    let column = usize::try_from(error.place.column).unwrap_or(0);
    let lines = code.split_inclusive('\n').enumerate().skip(line.saturating_sub(1));
    let behind: String = lines
        .map(|(number, text)| {
            let skipped = if number + 1 == line { column.saturating_sub(1) } else { 0 };
            text.chars().skip(skipped).collect::<String>()
        })
        .collect();
    let places = schema.columns.iter().enumerate();
    let mut places: Vec<(usize, usize)> =
        places.filter_map(|(idx, it)| Some((behind.find(&it.name)?, idx))).collect();
    places.sort_unstable();
    places.into_iter().map(|(_, idx)| idx).collect()
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

#[cfg(test)]
mod tests {
    use eddy_record::RecordFormat;

    use super::*;

    fn guessed(code: &str) -> std::result::Result<Application, SqlError> {
        let nothing = Schema { columns: Vec::new(), format: RecordFormat::json() };
        guessing(code, Options::new(nothing))
    }

    const CODE: &str = r#"CREATE STREAM "OUT" (k VARCHAR(9), m BIGINT, v DOUBLE);
        CREATE PUMP "P" AS INSERT INTO "OUT"
        SELECT STREAM UPPER("name"), UNIX_TIMESTAMP(FLOOR("at" TO MINUTE)), "value" * 2
        FROM "SOURCE_SQL_STREAM_001" WHERE "name" SIMILAR TO '%x%' AND "at" > TIMESTAMP '2026-01-01 00:00:00'"#;

    #[test]
    fn columns_of_an_unknown_source_are_what_the_text_needs() {
        let application = guessed(CODE).expect("it can be planned");
        let types: Vec<String> = application
            .input_schema()
            .columns
            .iter()
            .map(|column| format!("{} {}", column.name, column.sql_type))
            .collect();
        assert_eq!(types[1..], ["at TIMESTAMP", "value DOUBLE"]);
        assert!(types[0] == "name DOUBLE" || types[0].starts_with("name VARCHAR"), "{types:?}");
    }

    #[test]
    fn what_no_guess_mends_is_said() {
        let error = guessed(&CODE.replace("UPPER(", "HIGHER(")).expect_err("no such function");
        assert_eq!(error.construct, "function HIGHER");
    }
}

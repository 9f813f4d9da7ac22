//! `eddy score`: a filter. CSV or NDJSON in, the same with scores out; one line out for every line
//! in, in order, each score given before its line is learnt.

mod columns;
mod lines;
mod model_file;

use std::fs::File;
use std::io::{BufReader, BufWriter, IsTerminal, Read, Write};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use eddy_record::write_f64;
use rcf::{Forest, ForestSettings};

use columns::{CsvColumns, JsonColumns, Row};
use lines::Lines;
use model_file::ModelFile;

use crate::files::each_has_one_use;
use crate::signals::is_broken_pipe;

/// Lines that wait at most for a column's first value: one that has none by then is no reading.
const MAX_WAITING_LINES: usize = 1000;
/// And their bytes.
const MAX_WAITING_BYTES: usize = 1 << 20;

/// The arguments of `eddy score`.
#[derive(Args, Debug)]
pub(crate) struct ScoreArgs {
    /// Columns that make the point, separated by commas [default: every column whose first value
    /// is a number, but `timestamp` and `index`]
    #[arg(long, value_delimiter = ',', value_name = "A,B")]
    columns: Vec<String>,
    #[command(flatten)]
    forest: ForestArgs,
    /// How input and output are written
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    format: Format,
    /// Write the scores alone, one a line, without a header
    #[arg(long, conflicts_with = "attribution")]
    score_only: bool,
    /// Append ATTR_HIGH_c and ATTR_LOW_c for every column c: how much of the score comes from its
    /// value being high or low
    #[arg(long)]
    attribution: bool,
    /// Keep the model in this file at the end
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Go on with a model kept by --save
    #[arg(long, value_name = "FILE", conflicts_with_all = ["columns", "ForestArgs"])]
    load: Option<PathBuf>,
    /// The file to read [default: standard input]
    input: Option<PathBuf>,
}

/// The forest's parameters.
#[derive(Args, Debug)]
struct ForestArgs {
    /// Trees in the forest
    #[arg(long, default_value_t = 100, value_name = "N")]
    trees: usize,
    /// Points that each tree keeps
    #[arg(long, default_value_t = 256, value_name = "N")]
    sample_size: usize,
    /// How fast old points are forgotten, a rate a record [default: 0.1 / sample size]
    #[arg(long, value_name = "RATE", allow_negative_numbers = true)]
    time_decay: Option<f64>,
    /// Consecutive lines that make one point
    #[arg(long, default_value_t = 1, value_name = "N")]
    shingle_size: usize,
    /// How full a sample is filled unconditionally, 0 to 1
    #[arg(long, default_value_t = 1.0, value_name = "F", allow_negative_numbers = true)]
    initial_accept_fraction: f64,
    /// Lines before the first score [default: sample size / 4]
    #[arg(long, value_name = "N")]
    output_after: Option<u64>,
    /// The seed of the forest: same seed, same lines, same scores
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Comma-separated values with a header
    Csv,
    /// One JSON object a line
    Ndjson,
}

impl ForestArgs {
    fn build(&self, n_dims: usize) -> Result<Forest> {
        let mut settings = ForestSettings::new(n_dims);
        settings.n_trees = self.trees;
        settings.sample_size = self.sample_size;
        settings.time_decay = self.time_decay;
        settings.shingle_size = self.shingle_size;
        settings.internal_shingling = true;
        settings.initial_accept_fraction = self.initial_accept_fraction;
        settings.output_after = self.output_after;
        settings.seed = self.seed;
        Ok(settings.build()?)
    }
}

/// Scores the input to its end.
pub(crate) fn run(args: &ScoreArgs) -> Result<()> {
    each_has_one_use([("--save", args.save.as_deref()), ("the input", args.input.as_deref())])?;
    let input: Box<dyn Read> = match &args.input {
        None => Box::new(std::io::stdin().lock()),
        Some(path) if path.is_dir() => bail!("cannot read {}: it is a folder", path.display()),
        Some(path) => {
            Box::new(File::open(path).with_context(|| format!("cannot read {}", path.display()))?)
        }
    };
    let mut lines = Lines::new(BufReader::with_capacity(1 << 16, input));
    let mut out = BufWriter::with_capacity(1 << 16, std::io::stdout().lock());
    match score(args, &mut lines, &mut out) {
        // Whoever reads the scores has seen enough: that is no failure, but for the model.
        Err(error) if is_broken_pipe(&error) => match &args.save {
            None => Ok(()),
            Some(path) => {
                bail!("{} was not saved: the output was closed before the end", path.display())
            }
        },
        other => other,
    }
}

fn score(args: &ScoreArgs, lines: &mut Lines<impl Read>, out: &mut impl Write) -> Result<()> {
    let loaded = args.load.as_deref().map(ModelFile::load).transpose()?;
    let wanted = loaded.as_ref().map_or(&args.columns, |model| &model.columns);
    let mut rows: Box<dyn Row> = match args.format {
        Format::Csv => match lines.next()? {
            None => bail!("the input is empty: the first line must name the columns"),
            Some(header) => Box::new(CsvColumns::from_header(header)),
        },
        Format::Ndjson => Box::new(JsonColumns::default()),
    };
    // The columns are known once every one of them has had a value; lines before that wait.
    let mut waiting = Vec::new();
    let mut waiting_bytes = 0;
    while !rows.choose(wanted)? {
        let full = waiting.len() >= MAX_WAITING_LINES || waiting_bytes >= MAX_WAITING_BYTES;
        if full && rows.knows_nothing() {
            bail!(
                "the first {} lines hold no value: name the columns with --columns",
                waiting.len()
            );
        }
        let line = if full { None } else { lines.next()? };
        let Some(line) = line else {
            rows.choose_from_what_is_known()?;
            break;
        };
        rows.look_at(line);
        waiting_bytes += line.len();
        waiting.push(line.to_vec());
    }
    let columns = rows.columns();
    let forest = match loaded {
        Some(model) => model.forest,
        None => args.forest.build(columns.len())?,
    };
    if args.format == Format::Csv && !args.score_only {
        let mut header = rows.header();
        header.extend_from_slice(b",ANOMALY_SCORE");
        for column in columns.iter().filter(|_| args.attribution) {
            header.extend_from_slice(
                format!(",{}", columns::quoted(&format!("ATTR_HIGH_{column}"))).as_bytes(),
            );
            header.extend_from_slice(
                format!(",{}", columns::quoted(&format!("ATTR_LOW_{column}"))).as_bytes(),
            );
        }
        header.push(b'\n');
        out.write_all(&header)?;
    }

    let mut scorer = Scorer { forest, columns, n_missing: 0, point: Vec::new(), text: Vec::new() };
    for line in &waiting {
        scorer.line(args, rows.as_mut(), line, out)?;
    }
    loop {
        // A live filter: what is scored leaves before the next read can wait.
        if lines.would_read() {
            out.flush()?;
        }
        let Some(line) = lines.next()? else { break };
        scorer.line(args, rows.as_mut(), line, out)?;
    }
    out.flush()?;
    if let Some(path) = &args.save {
        ModelFile { columns: scorer.columns, forest: scorer.forest }.save(path)?;
    }
    if scorer.n_missing > 0 && std::io::stderr().is_terminal() {
        let n_missing = scorer.n_missing;
        eprintln!("{n_missing} lines had a missing or non-finite value: scored 0, not learnt");
    }
    Ok(())
}

struct Scorer {
    forest: Forest,
    columns: Vec<String>,
    n_missing: u64,
    point: Vec<f32>,
    // The line being written.
    text: Vec<u8>,
}

impl Scorer {
    fn line(
        &mut self,
        args: &ScoreArgs,
        rows: &mut dyn Row,
        line: &[u8],
        out: &mut impl Write,
    ) -> Result<()> {
        let whole = rows.read(line, &mut self.point);
        let mut parts = Vec::new();
        let score = if whole {
            let score = self.forest.score(&self.point)?;
            if args.attribution {
                parts = self.parts()?;
            }
            self.forest.update(&self.point)?;
            score
        } else {
            self.n_missing += 1;
            0.0
        };
        if args.attribution && !whole {
            parts = vec![(0.0, 0.0); self.columns.len()];
        }
        self.text.clear();
        if args.score_only {
            write_f64(score, &mut self.text);
        } else {
            rows.begin(line, &mut self.text);
            rows.append("ANOMALY_SCORE", score, &mut self.text);
            for (column, (high, low)) in self.columns.iter().zip(parts) {
                rows.append(&format!("ATTR_HIGH_{column}"), high, &mut self.text);
                rows.append(&format!("ATTR_LOW_{column}"), low, &mut self.text);
            }
            rows.end(&mut self.text);
        }
        self.text.push(b'\n');
        Ok(out.write_all(&self.text)?)
    }

    /// High and low by column, summed over the shingle.
    fn parts(&self) -> Result<Vec<(f64, f64)>> {
        let attribution = self.forest.attribution(&self.point)?;
        let mut parts = vec![(0.0, 0.0); self.columns.len()];
        for (dim_idx, (high, low)) in attribution.high.iter().zip(&attribution.low).enumerate() {
            let part = &mut parts[dim_idx % self.columns.len()];
            part.0 += high;
            part.1 += low;
        }
        Ok(parts)
    }
}

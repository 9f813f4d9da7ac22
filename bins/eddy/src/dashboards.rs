//! `eddy dashboards`: dashboards for Kibana, OpenSearch Dashboards and Grafana over scored rows.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use eddy_detect::{Detector, DetectorSettings};
use eddy_pipeline::{Settings, SinkSettings};
use eddy_record::Schema;
use eddy_sinks::{Auth, Dashboards, InstallSettings, OpenSearchSettings, Rotation};

/// The arguments of `eddy dashboards`.
#[derive(Args, Debug)]
pub(crate) struct DashboardsArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Write saved objects, a Grafana dashboard, index template and lifecycle policies as files
    Export(ExportArgs),
    /// Import the saved objects into a running Kibana or OpenSearch Dashboards
    Install(InstallArgs),
}

#[derive(Args, Debug)]
struct ExportArgs {
    #[command(flatten)]
    of: RowsArgs,
    /// The folder for the files
    #[arg(long, default_value = "./eddy-dashboards", value_name = "FOLDER")]
    out: PathBuf,
    /// Days until indices are deleted by the lifecycle policies [default: the sink's, which may be
    /// none, else 30]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    retention_days: Option<u32>,
}

#[derive(Args, Debug)]
struct InstallArgs {
    #[command(flatten)]
    of: RowsArgs,
    /// The address of Kibana or OpenSearch Dashboards, such as http://127.0.0.1:5601 or
    /// https://host/_dashboards
    #[arg(long)]
    url: String,
    /// A user's name; its password is in the variable --password-env
    #[arg(long, value_name = "NAME", requires = "password_env")]
    username: Option<String>,
    /// The variable of the environment that holds the password
    #[arg(long, value_name = "VARIABLE", requires = "username")]
    password_env: Option<String>,
    /// The variable of the environment that holds an API key, in its encoded form
    #[arg(long, value_name = "VARIABLE", conflicts_with = "username")]
    api_key_env: Option<String>,
    /// Sign for Amazon OpenSearch Service in this region, with the credentials of the AWS
    /// configuration
    #[arg(long, value_name = "REGION", conflicts_with_all = ["username", "api_key_env"])]
    aws_region: Option<String>,
    /// What is signed for: es, or aoss for Serverless
    #[arg(long, value_name = "NAME", default_value = "es", requires = "aws_region")]
    aws_service: String,
    /// A file of PEM certificates to trust besides those of the system
    #[arg(long, value_name = "FILE")]
    ca_certificate: Option<PathBuf>,
}

/// Which rows are looked at.
#[derive(Args, Debug)]
struct RowsArgs {
    /// A settings file of `eddy run`: its opensearch sink, schema and detector say which rows there
    /// are [default: the original walkthrough's rows]
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// The index, or what rotated names begin with [default: the sink's, else anomalies]
    #[arg(long, value_name = "NAME")]
    index: Option<String>,
    /// How often a new index begins [default: the sink's, else one-day]
    #[arg(long, value_enum, value_name = "WHEN")]
    rotation: Option<RotationArg>,
    /// The column that tells sensors apart [default: the detector's key, else the first of text]
    #[arg(long, value_name = "COLUMN")]
    key: Option<String>,
}

/// The age at which indices are deleted where no settings say one.
const DEFAULT_RETENTION_DAYS: u32 = 30;

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RotationArg {
    NoRotation,
    OneHour,
    OneDay,
    OneWeek,
    OneMonth,
}

impl From<RotationArg> for Rotation {
    fn from(rotation: RotationArg) -> Self {
        match rotation {
            RotationArg::NoRotation => Self::NoRotation,
            RotationArg::OneHour => Self::OneHour,
            RotationArg::OneDay => Self::OneDay,
            RotationArg::OneWeek => Self::OneWeek,
            RotationArg::OneMonth => Self::OneMonth,
        }
    }
}

pub(crate) fn run(args: &DashboardsArgs) -> Result<()> {
    match &args.command {
        Command::Export(args) => export(args),
        Command::Install(args) => install(args),
    }
}

impl RowsArgs {
    fn dashboards(&self, retention_days: Option<u32>) -> Result<Dashboards> {
        let (mut sink, schema, key) = match &self.settings {
            None => {
                let settings = DetectorSettings::default();
                let detector = Detector::new(&settings, Arc::new(Schema::walkthrough()))?;
                let sink = OpenSearchSettings::new("http://127.0.0.1:9200");
                (sink, Arc::clone(detector.output_schema()), None)
            }
            Some(path) => of_settings(path)?,
        };
        if let Some(index) = &self.index {
            sink.index.clone_from(index);
        }
        if let Some(rotation) = self.rotation {
            sink.rotation = rotation.into();
        }
        // The sink's policy has the same name: another age in the files would delete rows that the
        // sink keeps.
        let of_sink = match &self.settings {
            None => Some(DEFAULT_RETENTION_DAYS),
            Some(_) => sink.install.and_then(|install| install.retention_days),
        };
        // One index that is written to for ever has no age.
        let is_rotated = sink.rotation != Rotation::NoRotation;
        let retention_days = retention_days.or(of_sink).filter(|_| is_rotated);
        sink.install = Some(InstallSettings { retention_days });
        let key = self.key.as_ref().or(key.as_ref());
        Ok(Dashboards::new(&sink, &schema, key.map(String::as_str))?)
    }
}

/// The sink, the rows and the key of a pipeline.
fn of_settings(
    path: &std::path::Path,
) -> Result<(OpenSearchSettings, Arc<Schema>, Option<String>)> {
    let settings = Settings::load(path)?;
    if settings.application.is_some() {
        bail!(
            "{}: rows of an SQL application have the columns that its SQL says: leave --settings \
             out, give --index, and change the names of columns in the files",
            path.display()
        );
    }
    let sink = settings.sinks.iter().find_map(|sink| match &sink.sink {
        SinkSettings::OpenSearch(sink) => Some(sink.clone()),
        _ => None,
    });
    let sink = sink.with_context(|| {
        format!(
            "{} has no sink of type opensearch: add one, or leave --settings out",
            path.display()
        )
    })?;
    let schema = Arc::new(settings.schema.load()?);
    let detector = Detector::new(&settings.detector, schema)?;
    Ok((sink, Arc::clone(detector.output_schema()), settings.detector.key))
}

fn export(args: &ExportArgs) -> Result<()> {
    let dashboards = args.of.dashboards(args.retention_days)?;
    std::fs::create_dir_all(&args.out)
        .with_context(|| format!("cannot make the folder {}", args.out.display()))?;
    let name = dashboards.template_name();
    for (file, text) in dashboards.files() {
        let path = args.out.join(file);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        let what = match file {
            "saved-objects.ndjson" => {
                "import under Saved objects, or: eddy dashboards install".to_owned()
            }
            "grafana.json" => "import in Grafana under Dashboards".to_owned(),
            "index-template.json" => format!("PUT _index_template/{name}"),
            "index-template-ilm.json" => {
                format!("PUT _index_template/{name}, Elasticsearch with its policy")
            }
            "ism-policy.json" => format!("PUT _plugins/_ism/policies/{name} (OpenSearch)"),
            _ => format!("PUT _ilm/policy/{name} (Elasticsearch)"),
        };
        println!("{}: {what}", path.display());
    }
    Ok(())
}

fn install(args: &InstallArgs) -> Result<()> {
    let dashboards = args.of.dashboards(None)?;
    let auth = match (&args.username, &args.password_env, &args.api_key_env, &args.aws_region) {
        (Some(username), Some(password_env), ..) => {
            Auth::Basic { username: username.clone(), password_env: password_env.clone() }
        }
        (.., Some(key_env), _) => Auth::ApiKey { key_env: key_env.clone() },
        (.., Some(region)) => {
            Auth::Aws { region: region.clone(), service: args.aws_service.clone() }
        }
        _ => Auth::None,
    };
    let to = OpenSearchSettings {
        auth,
        ca_certificate: args.ca_certificate.clone(),
        ..OpenSearchSettings::new(args.url.trim_end_matches('/'))
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let imported = runtime.block_on(dashboards.import(&to))?;
    println!("{} objects over {} are in {}", imported.n_objects, dashboards.pattern(), args.url);
    Ok(())
}

//! `eddy run` and `eddy check` of settings files; those of SQL applications are in `sql`.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, bail};
use clap::Args;
use eddy_detect::Detector;
use eddy_pipeline::{PageSettings, Settings, build};
use eddy_stream::StdoutClosed;

use crate::serve::{PageToken, Shown, Status, check_token, page};
use crate::signals::on_signals;

/// The arguments of `eddy run`.
#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// The settings file, TOML; or an SQL application, or its definition
    settings: PathBuf,
    /// Serve the live page at that address, also where the settings have no [page]
    #[arg(long, value_name = "ADDRESS")]
    page: Option<std::net::SocketAddr>,
    #[command(flatten)]
    token: PageToken,
    #[cfg(feature = "sql")]
    #[command(flatten)]
    sql: crate::sql::SqlArgs,
}

/// The arguments of `eddy check`.
#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    /// The settings file, TOML; or an SQL application, or its definition
    settings: PathBuf,
    /// SQL: print the graph of streams and pumps in Graphviz' language
    #[cfg(feature = "sql")]
    #[arg(long)]
    dot: bool,
    #[cfg(feature = "sql")]
    #[command(flatten)]
    sql: crate::sql::SqlArgs,
}

/// Runs until the source ends or Ctrl-C.
pub(crate) fn run(args: &RunArgs) -> Result<()> {
    #[cfg(feature = "sql")]
    if crate::sql::is_application(&args.settings) {
        return match crate::sql::as_pipeline(&args.settings, &args.sql)? {
            Some(settings) => run_pipeline(settings, args),
            None => {
                let at = args.page.map(|listen| (listen, args.token.token.clone()));
                crate::sql::run(&args.settings, &args.sql, at)
            }
        };
    }
    run_pipeline(load(&args.settings)?, args)
}

fn run_pipeline(mut settings: Settings, args: &RunArgs) -> Result<()> {
    if let Some(listen) = args.page {
        let token = settings.page.and_then(|page| page.token);
        settings.page = Some(PageSettings { listen, token });
    }
    let settings = &settings;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done: Result<()> = runtime.block_on(async {
        let stop = on_signals()?;
        let mut told = stop.clone();
        let mut built = tokio::select! {
            built = build(settings) => built?,
            // What does not answer may hold the start up for long, and nothing is in flight yet.
            Ok(_) = told.wait_for(|told| *told != eddy_pipeline::Stop::No) => {
                eprintln!("stopped before anything was read");
                return Ok(());
            }
        };
        let status = Arc::new(Status::of(&built.pipeline, built.index.is_some()));
        if let Some(wanted) = &settings.page {
            let shown = Shown {
                index: built.index,
                letters: Some(settings.dead_letters.as_path().into()),
                application: watched(&mut built.pipeline),
                ..Shown::default()
            };
            let token = args.token.token.clone().or_else(|| wanted.token.clone());
            let at = (wanted.listen, token);
            let address = page(at, shown, status.told()?, stop.clone()).await?;
            eprintln!("page: http://{address}");
        }
        // What is left in a stream stays there: a stop need not wait until it is empty.
        let done = built.pipeline.run(stop_at_once(stop)).await;
        eprintln!("{}", status.summary());
        Ok(done?)
    });
    // A read of standard input cannot be cancelled: it must not hold the end up.
    runtime.shutdown_background();
    match done {
        // Whoever read the rows has seen enough. Beside other sinks it is an error: theirs stop too.
        Err(error)
            if settings.sinks.len() == 1 && error.chain().any(|it| it.is::<StdoutClosed>()) =>
        {
            Ok(())
        }
        other => other,
    }
}

/// Lets the page see the application, where there is one.
#[cfg(feature = "sql")]
fn watched(pipeline: &mut eddy_pipeline::Pipeline) -> Option<crate::serve::ApplicationView> {
    let eddy_pipeline::EngineSettings::Application(parts) = &mut pipeline.engine else {
        return None;
    };
    let parts = Arc::make_mut(parts);
    let watched = parts.watch();
    Some(crate::serve::application_view(parts.text(), watched))
}

#[cfg(not(feature = "sql"))]
fn watched(_: &mut eddy_pipeline::Pipeline) -> Option<crate::serve::ApplicationView> {
    None
}

/// Turns the wish to drain into one to settle what was read.
fn stop_at_once(
    mut told: tokio::sync::watch::Receiver<eddy_pipeline::Stop>,
) -> tokio::sync::watch::Receiver<eddy_pipeline::Stop> {
    use eddy_pipeline::Stop;
    let (tell, stop) = tokio::sync::watch::channel(Stop::No);
    tokio::spawn(async move {
        loop {
            // The last word, whatever came before it: two signals may have come since the last look.
            let means = match *told.borrow_and_update() {
                Stop::Drained => Stop::Now,
                other => other,
            };
            tell.send_replace(means);
            if told.changed().await.is_err() {
                break;
            }
        }
        tell.closed().await;
    });
    stop
}

/// Says whether the settings can be used.
pub(crate) fn check(args: &CheckArgs) -> Result<()> {
    #[cfg(feature = "sql")]
    if crate::sql::is_application(&args.settings) {
        return crate::sql::check(&args.settings, &args.sql, args.dot);
    }
    let settings = load(&args.settings)?;
    if let Some(page) = &settings.page
        && !page.listen.ip().is_loopback()
        && page.token.is_none()
    {
        eprintln!(
            "eddy: the page at {} is beyond this machine: start with --page-token or \
             EDDY_PAGE_TOKEN, or set page.token",
            page.listen
        );
    }
    if settings.application.is_some() {
        return print_graph(&settings, args);
    }
    println!("{}: good", args.settings.display());
    println!("{} sinks; detector {:?}", settings.sinks.len(), settings.detector);
    Ok(())
}

/// Reads settings and sees whether the detector's fit the schema, or the application can be run.
pub(crate) fn load(path: &std::path::Path) -> Result<Settings> {
    if path.extension().is_some_and(|extension| extension == "sql" || extension == "json") {
        bail!(
            "{}: this binary was built without SQL applications (the feature `sql`)",
            path.display()
        );
    }
    let settings = Settings::load(path)?;
    if let Some(token) = settings.page.as_ref().and_then(|page| page.token.as_deref()) {
        check_token(token, "page.token")?;
    }
    #[cfg(feature = "sql")]
    if settings.application.is_some() {
        eddy_pipeline::ApplicationParts::load(&settings, 0)?;
        return Ok(settings);
    }
    let schema = Arc::new(settings.schema.load()?);
    Detector::new(&settings.detector, schema)?;
    Ok(settings)
}

/// Prints the streams and pumps of an application, and which sinks get what.
#[cfg(feature = "sql")]
fn print_graph(settings: &Settings, args: &CheckArgs) -> Result<()> {
    let application = eddy_pipeline::ApplicationParts::load(settings, 0)?.application()?;
    for warning in application.warnings() {
        eprintln!("eddy: {warning}");
    }
    if args.dot {
        print!("{}", application.graph_dot());
        return Ok(());
    }
    println!("{}: good", args.settings.display());
    print!("{}", application.graph_text());
    for sink in &settings.sinks {
        let streams = match &sink.streams[..] {
            [] => application.outputs().collect::<Vec<_>>().join(", "),
            named => named.join(", "),
        };
        println!("{streams} => {}", sink.sink.type_name());
    }
    Ok(())
}

#[cfg(not(feature = "sql"))]
fn print_graph(_: &Settings, _: &CheckArgs) -> Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use eddy_pipeline::Stop;

    use super::*;

    #[tokio::test]
    async fn two_signals_at_once_stop_as_the_second_says() {
        let (tell, told) = tokio::sync::watch::channel(Stop::No);
        tell.send_replace(Stop::Drained);
        tell.send_replace(Stop::Abort);
        let mut stop = stop_at_once(told);
        stop.wait_for(|stop| *stop == Stop::Abort).await.expect("it is told");
    }

    #[tokio::test]
    async fn a_wish_to_drain_settles_what_was_read() {
        let (tell, told) = tokio::sync::watch::channel(Stop::No);
        let mut stop = stop_at_once(told);
        tell.send_replace(Stop::Drained);
        stop.wait_for(|stop| *stop == Stop::Now).await.expect("it is told");
        tell.send_replace(Stop::Abort);
        stop.wait_for(|stop| *stop == Stop::Abort).await.expect("it is told");
    }
}

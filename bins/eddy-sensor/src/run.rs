//! Records from the scene to their receiver, at its pace.

use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use eddy_sensors::{Player, SCENES, Scene, SceneRecord};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::labels::Labels;
use crate::lines::Reader;
use crate::options::Options;
use crate::pace::Pace;
use crate::receiver::Receiver;
use crate::report::{Counts, Report};
use crate::stop;

/// Sends records until the count is reached, Ctrl-C is pressed or the reader has gone.
pub(crate) async fn run(options: &Options) -> Result<()> {
    if options.list_scenes || options.show_scene.is_some() {
        return show_scenes(options.show_scene.as_deref());
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (scene, mut player) = match prepared(options, i64::try_from(now.as_millis())?) {
        Ok(prepared) => prepared,
        Err(error) => {
            // As clap says what makes no sense.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            std::process::exit(2);
        }
    };
    let mut stopped = stop::listen().context("listening for Ctrl-C")?;
    let output = options.output(&scene);
    let connection = options.connection(&output);
    let mut labels = Labels::open(options.labels.as_deref())?;
    let mut report = Report::start(options, &scene, &player, &output, &connection);
    let header = player.header().map(<[u8]>::to_vec);
    let mut receiver = tokio::select! {
        biased;
        _ = stopped.wait_for(|stop| *stop) => {
            report.finish(Counts::default(), 0);
            return Ok(());
        }
        receiver = Receiver::open(options, &output, &connection, header.as_deref()) => receiver?,
    };
    if receiver.created() {
        report.say(&format!("created the {} with one shard", report.target()));
    }

    let sent = send(options, &mut player, &mut receiver, &mut labels, &mut report, stopped).await;
    // What is under way is finished and counted even if something went wrong.
    let (settled, failed) = receiver.settle().await;
    let labelled = labels.settle(&failed);
    report.finish(receiver.counts(), labels.n_written());
    let (sent, settled) = (sent?, settled?);
    labelled?;
    if [sent, settled].contains(&Reader::Gone) {
        return Ok(());
    }
    if receiver.counts().failed > 0 {
        bail!("records could not be delivered: {}", receiver.last_error().unwrap_or_default());
    }
    Ok(())
}

fn prepared(options: &Options, now_ms: i64) -> Result<(Scene, Player)> {
    options.check_files()?;
    let scene = options.scene(now_ms)?;
    let player = Player::new(&scene)?;
    Ok((scene, player))
}

async fn send(
    options: &Options,
    player: &mut Player,
    receiver: &mut Receiver,
    labels: &mut Labels,
    report: &mut Report,
    mut stopped: watch::Receiver<bool>,
) -> Result<Reader> {
    let mut pace = Pace::new(options.is_paced(), Instant::now());
    let mut record = SceneRecord::default();
    let most = options.count.unwrap_or(u64::MAX);
    let mut n_sent = 0;
    while n_sent < most && !*stopped.borrow() {
        player.next(&mut record);
        while let Some(due) = pace.due(record.due_us, Instant::now()) {
            if receiver.idle(due).await? == Reader::Gone {
                return Ok(Reader::Gone);
            }
            let until = labels.due_at().map_or(due, |labels_due| labels_due.min(due));
            tokio::select! {
                biased;
                _ = stopped.wait_for(|stop| *stop) => return Ok(Reader::Listens),
                () = sleep_until(until) => {}
            }
            if settle_labels(receiver, labels).await? == Reader::Gone {
                return Ok(Reader::Gone);
            }
        }
        if receiver.put(&record).await? == Reader::Gone {
            return Ok(Reader::Gone);
        }
        labels.add(n_sent, &record);
        report.sent(&record);
        n_sent += 1;
        if settle_labels(receiver, labels).await? == Reader::Gone {
            return Ok(Reader::Gone);
        }
    }
    Ok(Reader::Listens)
}

/// Writes the labels of what was sent, if it is time.
async fn settle_labels(receiver: &mut Receiver, labels: &mut Labels) -> Result<Reader> {
    if !labels.are_due() {
        return Ok(Reader::Listens);
    }
    let (settled, failed) = receiver.settle().await;
    labels.settle(&failed)?;
    settled
}

/// Lists the scenes that ship, or prints one.
fn show_scenes(name: Option<&str>) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let Some(name) = name else {
        for (name, _) in SCENES {
            let scene = Scene::named(name).context("a scene that ships")?;
            writeln!(out, "{name:12} {}", scene.description)?;
        }
        return Ok(());
    };
    let Some((_, text)) = SCENES.iter().find(|(known, _)| *known == name) else {
        bail!("no scene {name} ships: --list-scenes lists them");
    };
    Ok(out.write_all(text.as_bytes())?)
}

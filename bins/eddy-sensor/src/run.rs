//! Readings from the sensors to their receiver, at a rate.

use anyhow::{Context, Result, bail};
use eddy_sensors::{Reading, Sensors};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::options::Options;
use crate::pace::Pace;
use crate::report::{Delivered, Report};
use crate::stdout::{Lines, Reader};
use crate::stop;
use crate::stream::Stream;

/// Sends readings until the count is reached, Ctrl-C is pressed or the reader has gone.
pub(crate) async fn run(options: &Options) -> Result<()> {
    let mut stopped = stop::listen().context("listening for Ctrl-C")?;
    let mut report = Report::start(options);
    let mut receiver = tokio::select! {
        biased;
        _ = stopped.wait_for(|stop| *stop) => {
            report.finish(Delivered::default());
            return Ok(());
        }
        receiver = Receiver::open(options) => receiver?,
    };
    if receiver.created() {
        report.say(&format!("created the stream {} with one shard", options.stream));
    }

    let sent = send(options, &mut receiver, &mut report, stopped).await;
    if matches!(sent, Ok(Reader::Gone)) {
        return Ok(());
    }
    // What is under way is finished and counted even if something went wrong.
    let delivered = receiver.finish().await;
    report.finish(delivered);
    sent?;
    if delivered.failed > 0 {
        bail!("readings could not be delivered: {}", receiver.last_error());
    }
    Ok(())
}

async fn send(
    options: &Options,
    receiver: &mut Receiver,
    report: &mut Report,
    mut stopped: watch::Receiver<bool>,
) -> Result<Reader> {
    let mut sensors = Sensors::new(options.sensor_settings())?;
    let mut pace = Pace::new(options.rate, Instant::now());
    let mut n_left = options.count.unwrap_or(u64::MAX);
    while n_left > 0 && !*stopped.borrow() {
        if let Some(due) = pace.next(Instant::now()) {
            // Nobody waits for a full buffer while there is nothing to do.
            if receiver.flush()? == Reader::Gone {
                return Ok(Reader::Gone);
            }
            tokio::select! {
                biased;
                _ = stopped.wait_for(|stop| *stop) => break,
                () = sleep_until(due) => {}
            }
        }
        let Some(reading) = sensors.next() else { break };
        if receiver.put(&reading).await? == Reader::Gone {
            return Ok(Reader::Gone);
        }
        report.sent(&reading);
        n_left -= 1;
    }
    receiver.flush()
}

/// Where readings go.
enum Receiver {
    Stdout(Lines),
    Stream(Stream),
}

impl Receiver {
    async fn open(options: &Options) -> Result<Self> {
        if options.stdout {
            return Ok(Self::Stdout(Lines::new()));
        }
        Stream::open(options).await.map(Self::Stream)
    }

    /// Whether it did not exist before.
    fn created(&self) -> bool {
        matches!(self, Self::Stream(stream) if stream.created())
    }

    async fn put(&mut self, reading: &Reading) -> Result<Reader> {
        match self {
            Self::Stdout(lines) => lines.put(reading).context("writing to standard output"),
            Self::Stream(stream) => stream.put(reading).await.map(|()| Reader::Listens),
        }
    }

    fn flush(&mut self) -> Result<Reader> {
        match self {
            Self::Stdout(lines) => lines.flush().context("writing to standard output"),
            // The producer sends what it holds in its own time.
            Self::Stream(_) => Ok(Reader::Listens),
        }
    }

    /// Waits for what is under way.
    async fn finish(&self) -> Delivered {
        match self {
            Self::Stdout(lines) => lines.delivered(),
            Self::Stream(stream) => stream.finish().await,
        }
    }

    fn last_error(&self) -> String {
        match self {
            Self::Stdout(_) => String::new(),
            Self::Stream(stream) => stream.last_error().unwrap_or_default(),
        }
    }
}

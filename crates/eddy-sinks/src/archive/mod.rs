//! Rows or payloads into objects of an S3 bucket or files of a local folder.

mod encode;
mod name;
#[cfg(feature = "parquet")]
mod parquet;
mod settings;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use eddy_record::Position;
use eddy_stream::{
    Archive, ArchiveStart, Archived, Backoff, ErrorKind, FailureLog, PartitionArchive, StreamError,
};
use futures::TryStreamExt as _;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt as _};

use encode::Encoder;
pub use settings::{ArchiveFormat, ArchiveSettings, ArchivedRecords};

/// Keeps records in objects that are named as Firehose names them, by hour:
/// `2026/11/23/12/STREAM-CREATED-PARTITION-COMMIT-OWNER-NUMBER.ndjson.gz`.
///
/// `COMMIT` is the position behind which the object's records stand, `OWNER` counts the times that
/// the partition was opened, `NUMBER` the objects since. An object ends when it is full or when a
/// commit waits for it. What an earlier owner wrote and had not committed when it died is deleted
/// before the same records are written again, so nothing is there twice; and an owner that has lost
/// the partition without knowing it writes under names of its own, never over the new owner's.
pub struct ArchiveSink {
    shared: Arc<Shared>,
}

struct Shared {
    store: Arc<dyn ObjectStore>,
    settings: ArchiveSettings,
}

impl ArchiveSink {
    /// An archive in a store whose root is what `settings.url` names. Looks into it, so that what
    /// is missing or denied is known at the start.
    ///
    /// # Errors
    /// The settings cannot be used, or the store cannot be read.
    pub async fn open(
        store: Arc<dyn ObjectStore>,
        settings: &ArchiveSettings,
    ) -> Result<Self, StreamError> {
        settings.validate()?;
        let sink = Self { shared: Arc::new(Shared { store, settings: settings.clone() }) };
        let mut hours = sink.shared.store.list(Some(&Path::from("0000")));
        hours.try_next().await.map_err(|error| sink.shared.failed("list", error))?;
        drop(hours);
        Ok(sink)
    }
}

impl Archive for ArchiveSink {
    fn name(&self) -> &str {
        match self.shared.settings.records {
            ArchivedRecords::Scored => "archive",
            ArchivedRecords::Raw => "archive_raw",
        }
    }

    fn keeps_payloads(&self) -> bool {
        self.shared.settings.records == ArchivedRecords::Raw
    }

    fn open(&self, from: &ArchiveStart) -> Box<dyn PartitionArchive> {
        Box::new(OpenArchive {
            shared: Arc::clone(&self.shared),
            from: from.clone(),
            first_ms: None,
            ordinal: 0,
            filling: None,
            left_overs: Some((name::stem(from), from.after_ms)),
        })
    }
}

/// A partition's objects behind its last commit.
struct OpenArchive {
    shared: Arc<Shared>,
    from: ArchiveStart,
    // The time of the first record behind the commit: all objects behind it stand in its hour.
    first_ms: Option<i64>,
    ordinal: u64,
    filling: Option<Encoder>,
    // What earlier owners may have written behind the commit that this one starts at: the stem of
    // its names, and the commit's time. Looked for before the first object is written, which may be
    // behind a later commit.
    left_overs: Option<(String, Option<i64>)>,
}

#[async_trait]
impl PartitionArchive for OpenArchive {
    async fn write(&mut self, records: Archived<'_>) -> Result<bool, StreamError> {
        let first_ms = match records {
            Archived::Rows(rows) => rows.first().map(|row| row.created_ms),
            Archived::Payloads(payloads) => payloads.first().map(|raw| raw.arrival_ms),
        };
        let Some(first_ms) = first_ms else { return Ok(self.filling.is_none()) };
        self.first_ms.get_or_insert(first_ms);
        let mut object = match self.filling.take() {
            Some(object) => object,
            None => Encoder::new(self.shared.settings.format)?,
        };
        object.add(records)?;
        let is_full = object.size_bytes() >= self.shared.settings.max_object_bytes;
        self.filling = Some(object);
        if is_full {
            self.put().await?;
        }
        Ok(is_full)
    }

    async fn flush(&mut self, committed: Option<&Position>) -> Result<(), StreamError> {
        self.put().await?;
        // A commit that moves no position ends nothing.
        if self.from.after.as_ref() != committed {
            self.from.after = committed.cloned();
            self.first_ms = None;
            self.ordinal = 0;
        }
        Ok(())
    }
}

impl OpenArchive {
    /// Writes the object being filled, if there is one.
    async fn put(&mut self) -> Result<(), StreamError> {
        let (Some(object), Some(first_ms)) = (self.filling.take(), self.first_ms) else {
            return Ok(());
        };
        let stem = name::stem(&self.from);
        let shared = &self.shared;
        if let Some((stem, after_ms)) = self.left_overs.take() {
            for folder in &name::hour_folders(after_ms, first_ms, self.from.run) {
                shared.patiently("delete", || shared.clear(folder, &stem, self.from.run)).await?;
            }
        }
        let folder = name::hour_folder(first_ms);
        let extension = shared.settings.format.extension();
        let name = name::name(&stem, self.from.run, self.ordinal, extension);
        // The stem is encoded already.
        let path = Path::parse(format!("{folder}/{name}"))
            .map_err(|error| StreamError::fatal("no name for an object").with_source(error))?;
        let bytes = Bytes::from(object.finish()?);
        shared.patiently("write", || shared.store.put(&path, bytes.clone().into())).await?;
        self.ordinal += 1;
        Ok(())
    }
}

impl Shared {
    /// Deletes what earlier owners have left behind a commit.
    async fn clear(&self, folder: &Path, stem: &str, run: u64) -> object_store::Result<()> {
        let before = Path::parse(format!("{folder}/{stem}"))?;
        let mut objects = self.store.list_with_offset(Some(folder), &before);
        while let Some(object) = objects.try_next().await? {
            let name = object.location.filename().unwrap_or_default();
            if name::is_left_over(name, stem, run) {
                match self.store.delete(&object.location).await {
                    Ok(()) | Err(Error::NotFound { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// Tries until it is done, nothing can mend it, or patience is over.
    async fn patiently<T, F: Future<Output = object_store::Result<T>>>(
        &self,
        doing: &str,
        attempt: impl Fn() -> F,
    ) -> Result<T, StreamError> {
        let url = &self.settings.url;
        let give_up_after = Duration::from_millis(self.settings.give_up_after_ms);
        let mut pause = Backoff::new(Duration::from_millis(100), Duration::from_secs(10), url);
        let mut failures = FailureLog::default();
        loop {
            let error = match attempt().await {
                Ok(done) => return Ok(done),
                Err(error) => self.failed(doing, error),
            };
            if error.kind() == ErrorKind::Fatal || pause.failing_for() >= give_up_after {
                return Err(error);
            }
            if let Some(failing_for) = failures.failed() {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(url, error, ?failing_for, "trying again");
            }
            pause.wait().await;
        }
    }

    /// What a store's error means to the caller.
    fn failed(&self, doing: &str, error: Error) -> StreamError {
        let url = &self.settings.url;
        let said = error.to_string();
        // Of a listing the store tells no kind, only the text.
        let says = |codes: &[&str]| codes.iter().any(|code| said.contains(code));
        let denied =
            matches!(error, Error::PermissionDenied { .. } | Error::Unauthenticated { .. })
                || says(&["403 Forbidden", "401 Unauthorized"]);
        // The last two are what S3 answers to a request for a bucket of another region.
        let missing = matches!(error, Error::NotFound { .. })
            || says(&[
                "NoSuchBucket",
                "PermanentRedirect",
                "Received redirect",
                "AuthorizationHeaderMalformed",
            ]);
        let error = if denied {
            StreamError::fatal(format!(
                "the archive {url} denies to {doing} objects: check the credentials, and that they \
                 allow s3:ListBucket on the bucket and s3:PutObject and s3:DeleteObject in it"
            ))
        } else if missing {
            StreamError::fatal(format!(
                "there is no archive {url} in this region: create the bucket, or correct url, \
                 connection.region or connection.endpoint_url"
            ))
        } else {
            StreamError::retry(format!(
                "cannot {doing} objects of the archive {url}: is the store away, or the disk full?"
            ))
        };
        error.with_source(said)
    }
}

//! Reference data that a definition says is in S3.

use eddy_aws::{ConnectionSettings, bucket};
use eddy_sql::{DefinedReference, ReferenceTable};
use eddy_stream::StreamError;
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt as _};

/// The largest object that is fetched: what the original took.
const MAX_REFERENCE_BYTES: u64 = 1 << 30;

/// Fetches the rows of a table.
///
/// # Errors
/// The definition does not say enough, bucket or object are missing, too large or not to be read, or
/// the object does not fit the table's columns.
pub async fn fetch_reference(
    reference: &DefinedReference,
    connection: &ConnectionSettings,
) -> Result<ReferenceTable, StreamError> {
    let DefinedReference { table, schema, bucket_arn, key } = reference;
    let name = bucket_arn.rsplit(':').next().unwrap_or_default();
    if name.is_empty() || key.is_empty() {
        return Err(StreamError::fatal(format!(
            "the definition does not say in which bucket ({bucket_arn:?}) and object ({key:?}) the \
             reference data {table} is; {}",
            instead(table)
        )));
    }
    let url = format!("s3://{name}/{key}");
    let path = Path::parse(key).map_err(|error| {
        let context = format!("the reference data {table} cannot be read from {url}");
        StreamError::fatal(format!("{context}; {}", instead(table))).with_source(error)
    })?;
    let store = bucket(name, connection).await?;
    let failed = |error| unreadable(table, &url, error);
    let found = store.get(&path).await.map_err(failed)?;
    if found.meta.size > MAX_REFERENCE_BYTES {
        return Err(StreamError::fatal(format!(
            "the reference data {table}, {url}, has {} bytes, and at most {MAX_REFERENCE_BYTES} are \
             held",
            found.meta.size
        )));
    }
    let bytes = found.bytes().await.map_err(failed)?;
    let read = ReferenceTable::read(table, &bytes, false, Some(schema)).map_err(|problem| {
        StreamError::fatal(format!("the reference data {table}, {url}: {problem}"))
    })?;
    tracing::info!(table, url, bytes = bytes.len(), "reference data");
    Ok(read)
}

fn instead(table: &str) -> String {
    format!("name a file in its place: --reference {table}=FILE or [application.reference]")
}

fn unreadable(table: &str, url: &str, error: Error) -> StreamError {
    let context = match &error {
        // The store tells no kind of a missing bucket, only the service's text.
        Error::NotFound { source, .. } if source.to_string().contains("NoSuchBucket") => {
            format!(
                "there is no bucket for the reference data {table} in {url}: correct the \
                 definition's BucketARN, or the region; or {}",
                instead(table)
            )
        }
        Error::NotFound { .. } => format!(
            "there is no object for the reference data {table} at {url}: correct the definition's \
             FileKey, or put it there; or {}",
            instead(table)
        ),
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => format!(
            "access to the reference data {table} at {url} is denied: these credentials need \
             s3:GetObject there (without s3:ListBucket a missing object is denied as well)"
        ),
        _ => {
            let context = format!("cannot read the reference data {table} at {url}");
            return StreamError::retry(context).with_source(error);
        }
    };
    StreamError::fatal(context).with_source(error)
}

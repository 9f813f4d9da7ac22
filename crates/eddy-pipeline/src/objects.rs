//! Object stores by their URL: a bucket of S3, or a local folder.

use std::path::Path as FolderPath;
use std::sync::Arc;

use eddy_aws::{ConnectionSettings, bucket};
use eddy_stream::StreamError;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;

/// The bucket and the path of an `s3://` URL; `None` where it is not one.
pub(crate) fn bucket_of(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix("s3://")?;
    Some(rest.split_once('/').unwrap_or((rest, "")))
}

/// What is wrong with a URL, if something is.
pub(crate) fn url_problem(url: &str) -> Option<String> {
    match bucket_of(url) {
        Some(("", _)) => {
            Some(format!("{url} names no bucket: it must be such as s3://bucket/path"))
        }
        None if url.contains("://") => {
            Some(format!("must be such as s3://bucket/path or a local folder, found {url:?}"))
        }
        None if url.is_empty() => {
            Some("is empty: name s3://bucket/path or a local folder".to_owned())
        }
        _ => None,
    }
}

/// Opens what a URL names: `s3://bucket/path`, or a local folder, which is made if it does not exist
/// and in which every object is on disk when its write returns.
///
/// # Errors
/// The URL is neither, the folder cannot be made, or there is no region for the bucket.
pub(crate) async fn open_objects(
    url: &str,
    connection: &ConnectionSettings,
) -> Result<Arc<dyn ObjectStore>, StreamError> {
    match bucket_of(url) {
        _ if url_problem(url).is_some() => Err(StreamError::fatal(format!(
            "url must be such as s3://bucket/path or a local folder, found {url:?}"
        ))),
        None => open_folder(FolderPath::new(url)),
        Some((name, path)) => {
            let path = Path::parse(path).map_err(|error| {
                StreamError::fatal(format!("{url} has no good path")).with_source(error)
            })?;
            let bucket = bucket(name, connection).await?;
            Ok(if path.is_root() {
                Arc::new(bucket)
            } else {
                Arc::new(PrefixStore::new(bucket, path))
            })
        }
    }
}

/// Opens a local folder.
pub(crate) fn open_folder(folder: &FolderPath) -> Result<Arc<dyn ObjectStore>, StreamError> {
    let failed = || StreamError::fatal(format!("cannot use the folder {}", folder.display()));
    std::fs::create_dir_all(folder).map_err(|error| failed().with_source(error))?;
    let objects =
        LocalFileSystem::new_with_prefix(folder).map_err(|error| failed().with_source(error))?;
    Ok(Arc::new(objects.with_fsync(true)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_buckets_or_folders() {
        assert_eq!(bucket_of("s3://b/a/c"), Some(("b", "a/c")));
        assert_eq!(bucket_of("s3://b"), Some(("b", "")));
        assert_eq!(bucket_of("./folder"), None);
        for good in ["s3://b", "s3://b/p", "/tmp/x", "./x"] {
            assert_eq!(url_problem(good), None);
        }
        for bad in ["s3://", "s3:///p", "gs://b", "http://127.0.0.1", ""] {
            assert!(url_problem(bad).is_some(), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_made_is_named() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let folder = file.path().join("state");
        let error = open_objects(&folder.display().to_string(), &ConnectionSettings::default())
            .await
            .expect_err("a file is no folder");
        assert!(error.to_string().contains("state"), "{error}");
    }
}

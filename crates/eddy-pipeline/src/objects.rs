//! Object stores by their address: a local folder, or a bucket of S3.

use std::path::Path as FolderPath;
use std::sync::Arc;

use eddy_kinesis::ConnectionSettings;
use eddy_stream::StreamError;
use object_store::ObjectStore;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;

/// The bucket and the prefix that `s3://bucket/prefix` names; an error says what is wrong.
pub(crate) fn parse_s3_url(url: &str) -> Result<(&str, &str), String> {
    let wrong = || format!("must be such as s3://bucket/prefix, found {url:?}");
    let rest = url.strip_prefix("s3://").ok_or_else(wrong)?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if bucket.is_empty() || !bucket.chars().all(plain) {
        return Err(wrong());
    }
    Ok((bucket, prefix.trim_end_matches('/')))
}

/// Opens `s3://bucket/prefix`; nothing is sent yet. Region, endpoint and credentials are those of the
/// settings, else of the environment (keys, a web identity, a container's or an instance's role); an
/// endpoint on this machine needs no credentials.
///
/// # Errors
/// The address is none, or names no region.
pub(crate) fn open_s3(
    url: &str,
    connection: &ConnectionSettings,
) -> Result<Arc<dyn ObjectStore>, StreamError> {
    let failed = || StreamError::fatal(format!("cannot use the object store {url}"));
    let (bucket, prefix) = parse_s3_url(url).map_err(|reason| failed().with_source(reason))?;
    // The HTTP client takes the process's provider; whoever was first has chosen the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket);
    if let Some(region) = &connection.region {
        builder = builder.with_region(region);
    }
    if let Some(endpoint) = &connection.endpoint_url {
        builder = builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
    }
    if connection.is_local() {
        builder = builder.with_access_key_id("local").with_secret_access_key("local");
    }
    let bucket = builder.build().map_err(|error| failed().with_source(error))?;
    Ok(Arc::new(PrefixStore::new(bucket, Path::from(prefix))))
}

/// Opens a local folder, which is made if it does not exist; what is written is on disk when a write
/// returns.
///
/// # Errors
/// The folder cannot be made or read.
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
    fn an_address_has_a_bucket_and_may_have_a_prefix() {
        assert_eq!(parse_s3_url("s3://b-1.x/eddy/state/"), Ok(("b-1.x", "eddy/state")));
        assert_eq!(parse_s3_url("s3://b"), Ok(("b", "")));
        for wrong in ["", "s3://", "s3:///p", "https://b/p", "s3://user@b/p", "/data"] {
            assert!(parse_s3_url(wrong).is_err(), "{wrong}");
        }
    }
}

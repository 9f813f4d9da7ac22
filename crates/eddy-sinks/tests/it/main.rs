//! The sinks against doubles of the services that fail on command, and against the embedded index.

mod firehose;
mod opensearch;
mod support;

//! The service's time: the only clock that may say a shard is caught up.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use eddy_stream::Start;

/// No answer had a time yet.
const NO_DATE: i64 = i64::MIN;
/// An answer's Date has whole seconds: the moment it was given may be that much later.
const DATE_RESOLUTION_MS: i64 = 1000;

/// Notes the time of each answer, refusals included.
#[derive(Clone, Debug)]
pub(crate) struct ServerDate(Arc<AtomicI64>);

impl Default for ServerDate {
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(NO_DATE)))
    }
}

impl ServerDate {
    /// The time of the last answer, in milliseconds since the epoch.
    pub(crate) fn get(&self) -> Option<i64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|date_ms| *date_ms != NO_DATE)
    }

    /// Makes the moment of the first answer the start of a reader that starts at the latest record:
    /// what is the latest when it is asked for again would skip what has come between. What came
    /// shortly before may be delivered too.
    pub(crate) fn pin_latest(&self, start: &mut Start) {
        if let Some(date_ms) = self.get().filter(|_| *start == Start::Latest) {
            *start = Start::AtTimestamp(date_ms - DATE_RESOLUTION_MS);
        }
    }
}

impl Intercept for ServerDate {
    fn name(&self) -> &'static str {
        "ServerDate"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        let date = date.and_then(|date| chrono::DateTime::parse_from_rfc2822(date).ok());
        if let Some(date) = date {
            self.0.store(date.timestamp_millis(), Ordering::Relaxed);
        }
        Ok(())
    }
}

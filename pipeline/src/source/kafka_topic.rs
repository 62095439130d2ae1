//! What a topic's settings say of its records, for those who check before the night.

use std::collections::BTreeMap;

use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;

use super::SourceError;
use super::kafka_options::{ANSWER_WAIT, KafkaOptions};

/// Whose clock the records of a stream's topic are stamped by: `CreateTime` is the producer's, `LogAppendTime`
/// the broker's; `None` where the brokers do not say.
///
/// # Errors
/// When the options name no topic or the brokers do not answer.
pub fn timestamp_type(options: &BTreeMap<String, String>) -> Result<Option<String>, SourceError> {
    let options = KafkaOptions::from_options(options)?;
    let config = options.config(std::iter::empty());
    let admin: AdminClient<DefaultClientContext> =
        config.create().map_err(|error| options.refused(error))?;
    let wait = AdminOptions::new().request_timeout(Some(ANSWER_WAIT));
    let topic = ResourceSpecifier::Topic(&options.topic);
    let asked = futures::executor::block_on(admin.describe_configs([&topic], &wait));
    let told = asked.map_err(|error| options.refused(error))?;
    let settings = told.into_iter().flatten().next();
    Ok(settings.and_then(|settings| settings.get("message.timestamp.type")?.value.clone()))
}

//! `[result-topics]` of the configuration, checked, and which view goes to which topic.

use std::collections::BTreeMap;

use crate::results::ViewInfo;

/// Stands for the view's name in `topic`.
const VIEW: &str = "{view}";
/// The name zombies are told apart by, unless the configuration has one.
const TRANSACTIONAL_ID: &str = "tidemark";

/// Where views go and how the brokers are reached.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResultTopicsConfig {
    /// Topic of a view that names none, with `{view}` for its name; `None` leaves those views out.
    pub topic: Option<String>,
    /// Names the writer to the brokers: of two processes with the same one, the earlier is shut out.
    pub transactional_id: String,
    /// `properties.*` for librdkafka, with the prefix.
    pub properties: BTreeMap<String, String>,
}

impl ResultTopicsConfig {
    /// Checks the section as written, every value as text.
    ///
    /// # Errors
    /// Every mistake, each naming its key.
    pub fn check(written: &BTreeMap<String, String>) -> Result<Self, Vec<String>> {
        let mut config = Self { transactional_id: TRANSACTIONAL_ID.to_owned(), ..Self::default() };
        let mut mistakes = Vec::new();
        for (key, value) in written {
            match key.as_str() {
                "topic" if value.is_empty() => {}
                "topic" if value.contains(VIEW) => config.topic = Some(value.clone()),
                "topic" => mistakes.push(format!(
                    "result-topics.topic = {value:?}: write {VIEW} where the view's name goes, as \"tidemark.{VIEW}\"; \
                     every view has a topic of its own"
                )),
                "transactional-id" if value.is_empty() => {
                    mistakes.push("result-topics.transactional-id is empty".to_owned());
                }
                "transactional-id" => config.transactional_id.clone_from(value),
                property if property.starts_with("properties.") => {
                    config.properties.insert(key.clone(), value.clone());
                }
                _ => mistakes.push(format!(
                    "result-topics.{key}: unknown; known here: topic, transactional-id, properties.*"
                )),
            }
        }
        if config.topic.is_some() && !config.has_brokers() {
            mistakes.push(no_brokers("result-topics.topic is set"));
        }
        if mistakes.is_empty() { Ok(config) } else { Err(mistakes) }
    }

    fn has_brokers(&self) -> bool {
        self.properties
            .get("properties.bootstrap.servers")
            .is_some_and(|brokers| !brokers.is_empty())
    }
}

fn no_brokers(why: &str) -> String {
    format!(
        "{why}, but result-topics has no properties.bootstrap.servers: say which brokers have the result topics"
    )
}

/// The topics of the views that go to one, by view.
///
/// # Errors
/// When two views would go to one topic, or there are no brokers.
pub fn topics_of<'a>(
    config: &ResultTopicsConfig,
    views: impl Iterator<Item = &'a ViewInfo>,
) -> Result<BTreeMap<String, String>, String> {
    let mut topics: BTreeMap<String, String> = BTreeMap::new();
    for view in views {
        let topic = match (&view.result_topic, &config.topic) {
            (Some(own), _) => own.clone(),
            (None, Some(pattern)) => pattern.replace(VIEW, &view.name),
            (None, None) => continue,
        };
        if topic.is_empty() {
            continue;
        }
        if !config.has_brokers() {
            return Err(no_brokers(&format!("view {} has 'result.topic' = '{topic}'", view.name)));
        }
        if let Some((other, _)) = topics.iter().find(|(_, taken)| **taken == topic) {
            return Err(format!(
                "views {other} and {} both go to topic {topic}; give each its own 'result.topic'",
                view.name
            ));
        }
        topics.insert(view.name.clone(), topic);
    }
    Ok(topics)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn every_mistake_of_the_section_is_told() {
        let mistakes = ResultTopicsConfig::check(&written(&[("topic", "one"), ("colour", "blue")]))
            .unwrap_err();
        assert_eq!(mistakes.len(), 2, "{mistakes:?}");
        let mistakes = ResultTopicsConfig::check(&written(&[("topic", "t.{view}")])).unwrap_err();
        assert!(mistakes[0].contains("properties.bootstrap.servers"), "{mistakes:?}");
    }

    #[test]
    fn nothing_written_means_no_topics() {
        let config = ResultTopicsConfig::check(&BTreeMap::new()).unwrap();
        assert_eq!((config.topic, config.transactional_id.as_str()), (None, "tidemark"));
    }
}

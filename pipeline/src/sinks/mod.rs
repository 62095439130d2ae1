//! Where rows go besides the results: files of `INSERT INTO`, and Kafka topics of views.

pub mod files;
pub mod result_topics;

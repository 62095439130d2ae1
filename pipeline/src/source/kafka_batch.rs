//! kafka_batch

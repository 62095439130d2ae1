-- Claims of buyers, one record an event, keyed by the order they are about.
--
-- event_type is opened or settled; outcome of a settled one is compensated or refused. amount is what the claim
-- is about. opened_at is in both, so that a settlement says by itself how old the claim was.
--
-- Records come by POST /api/ingest/claims; for a topic, say [streams.claims] connector = "kafka" and topic in the config.
CREATE TABLE claims (
  event_id STRING NOT NULL,
  order_id STRING NOT NULL,
  event_type STRING NOT NULL,
  event_time TIMESTAMP(3) NOT NULL,
  opened_at TIMESTAMP(3),
  reason STRING,
  outcome STRING,
  amount DECIMAL(18, 2),
  age_ms AS CAST(event_time AS BIGINT) - CAST(opened_at AS BIGINT),
  WATERMARK FOR event_time AS event_time - INTERVAL '5' SECOND
) WITH (
  'connector' = 'embedded',
  'format' = 'json',
  'time-zone' = 'Asia/Shanghai',
  'dedup.key' = 'event_id',
  'dedup.horizon' = '3 h',
  'partition.key' = 'order_id',
  'max-future-skew' = '5 min'
);

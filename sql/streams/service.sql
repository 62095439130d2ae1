-- Cases of the service desk, one record an event, keyed by the order they are about.
--
-- event_type is one of asked, answered, resolved. handled_by says who answered, bot or agent; topic what it is
-- about. asked_at is when the case began, so that an answer says by itself how long one waited.
--
-- Records come by POST /api/ingest/service; for a topic, say [streams.service] connector = "kafka" and topic in the config.
CREATE TABLE service (
  event_id STRING NOT NULL,
  order_id STRING NOT NULL,
  event_type STRING NOT NULL,
  event_time TIMESTAMP(3) NOT NULL,
  asked_at TIMESTAMP(3),
  topic STRING,
  handled_by STRING,
  waited_ms AS CAST(event_time AS BIGINT) - CAST(asked_at AS BIGINT),
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

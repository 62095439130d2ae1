-- What people do before they buy, one record an event, keyed by the order number their visit is drawn with.
--
-- event_type is one of visit, cart (something put into the cart), favourite.
--
-- Records come by POST /api/ingest/behaviour; for a topic, say [streams.behaviour] connector = "kafka" and topic in the config.
CREATE TABLE behaviour (
  event_id STRING NOT NULL,
  order_id STRING,
  event_type STRING NOT NULL,
  event_time TIMESTAMP(3) NOT NULL,
  visitor_id STRING,
  category STRING,
  channel STRING,
  WATERMARK FOR event_time AS event_time - INTERVAL '5' SECOND
) WITH (
  'connector' = 'embedded',
  'format' = 'json',
  'time-zone' = 'Asia/Shanghai',
  'dedup.key' = 'event_id',
  'dedup.horizon' = '1 h',
  'partition.key' = 'order_id',
  'max-future-skew' = '5 min',
  'personal' = 'visitor_id'
);

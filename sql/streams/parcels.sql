-- Parcels on their way, one record an event, keyed by the order.
--
-- event_type is one of created, collected, delivered. created_at is when the parcel was made up, so that a
-- delivery says by itself how long it took. province and city are where it goes.
--
-- Records come by POST /api/ingest/parcels; for a topic, say [streams.parcels] connector = "kafka" and topic in the config.
CREATE TABLE parcels (
  event_id STRING NOT NULL,
  order_id STRING NOT NULL,
  event_type STRING NOT NULL,
  event_time TIMESTAMP(3) NOT NULL,
  created_at TIMESTAMP(3),
  province STRING,
  city STRING,
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

-- What the crash tests and the kept checkpoints of each format read: a stream with everything that a
-- checkpoint holds (dedup keys, a life cycle's orders, accounting by value).
CREATE TABLE orders (
  event_id STRING NOT NULL,
  order_id STRING NOT NULL,
  event_type STRING NOT NULL,
  event_time TIMESTAMP(3) NOT NULL,
  province STRING,
  amount DECIMAL(18, 2),
  source STRING,
  WATERMARK FOR event_time AS event_time - INTERVAL '2' HOUR
) WITH (
  'connector' = 'embedded',
  'partitions' = '2',
  'format' = 'json',
  'time-zone' = 'Asia/Shanghai',
  'dedup.key' = 'event_id',
  'dedup.horizon' = '9 d',
  'partition.key' = 'order_id',
  'accounted.by' = 'source',
  'max-future-skew' = '9999 d'
);

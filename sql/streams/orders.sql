-- Everything that happens to an order, one record an event, keyed by the order.
--
-- event_type is one of placed, paid, deposit, balance, cancelled, refunded. amount is the amount of
-- that event in currency, positive for refunds too; a cancellation may carry no more than the order's id.
-- seller_city is where the goods come from; country that of the buyer, ISO 3166-1, none at home.
-- source is the shop system, till or platform that sent it, source_seq that source's own number of it. arrival
-- is the log's timestamp, lag_ms the way from the event to there.
--
-- Every accepted event is kept and can be asked for, `SELECT ... FROM orders`, also as of a time or a version;
-- a buyer is a hash there. `history = "off"` under [pipeline] keeps none.
CREATE TABLE orders (
  event_id STRING NOT NULL,
  order_id STRING NOT NULL,
  event_type STRING NOT NULL,
  event_time TIMESTAMP(3) NOT NULL,
  buyer_id STRING,
  province STRING,
  city STRING,
  category STRING,
  brand STRING,
  channel STRING,
  platform STRING,
  amount DECIMAL(18, 2),
  currency STRING,
  seller_city STRING,
  country STRING,
  source STRING,
  source_seq BIGINT,
  arrival TIMESTAMP(3) METADATA FROM 'timestamp',
  lag_ms AS CAST(arrival AS BIGINT) - CAST(event_time AS BIGINT),
  WATERMARK FOR event_time AS event_time - INTERVAL '5' SECOND
) WITH (
  'connector' = 'kafka',
  'topic' = 'orders',
  'properties.bootstrap.servers' = '127.0.0.1:9092',
  'format' = 'json',
  'time-zone' = 'Asia/Shanghai',
  'dedup.key' = 'event_id',
  'dedup.horizon' = '3 h',
  'partition.key' = 'order_id',
  'accounted.by' = 'source',
  'sequence.column' = 'source_seq',
  'shadow.header' = 'tidemark-shadow',
  'max-future-skew' = '5 min',
  'history' = 'keep',
  'history.hashed' = 'buyer_id',
  'personal' = 'buyer_id'
);

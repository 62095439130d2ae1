-- The life cycle of the orders: its journal is a part of each checkpoint.
CREATE TABLE order_flow (
  order_id STRING NOT NULL,
  event_time TIMESTAMP(3) NOT NULL,
  province STRING,
  net DECIMAL(18, 2) NOT NULL METADATA,
  paid DECIMAL(18, 2) NOT NULL METADATA,
  excess DECIMAL(18, 2) NOT NULL METADATA,
  WATERMARK FOR event_time AS SOURCE_WATERMARK()
) WITH (
  'connector' = 'lifecycle',
  'source' = 'orders',
  'key' = 'order_id',
  'kind' = 'event_type',
  'amount' = 'amount',
  'on.placed' = 'open',
  'on.deposit' = 'open pay',
  'on.paid' = 'pay',
  'on.balance' = 'pay',
  'on.cancelled' = 'cancel',
  'on.refunded' = 'refund',
  'horizon' = '30 d'
);

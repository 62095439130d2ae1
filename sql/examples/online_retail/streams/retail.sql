-- One line of an invoice, in pounds; an invoice that begins with C is a cancellation.
CREATE TABLE retail (
  line_number BIGINT NOT NULL,
  invoice STRING NOT NULL,
  stock_code STRING NOT NULL,
  description STRING,
  quantity INT NOT NULL,
  event_time TIMESTAMP(3) NOT NULL,
  unit_price_gbp DECIMAL(12, 3) NOT NULL,
  customer STRING,
  country STRING,
  amount_gbp AS quantity * unit_price_gbp,
  WATERMARK FOR event_time AS event_time - INTERVAL '5' SECOND
) WITH (
  'connector' = 'kafka',
  'topic' = 'retail',
  'properties.bootstrap.servers' = '127.0.0.1:9092',
  'format' = 'json',
  'time-zone' = 'Europe/London',
  'dedup.key' = 'line_number',
  'dedup.horizon' = '3 d',
  'partition.key' = 'invoice',
  'max-future-skew' = '5 min'
);

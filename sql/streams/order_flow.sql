-- What the events of an order amount to: one row an effect, each a signed change of what is placed, paid,
-- given back or cancelled.
--
-- Events may come in any order. A cancellation finds its order by the id alone; two of them count once, as does
-- a payment told twice. A refund lowers net and never paid; above what was paid it is excess. What comes before
-- its order waits (table unmatched) until the order comes or the horizon passes. A deposit begins an order of a
-- presale, the balance adds to it. An order is in one currency, that of its opening or, where that says none, yuan;
-- money in another is refused, which unmatched tells, and stands in nothing's way. What says none is in the order's.
-- A row is dated by event_time, the time of the effect; order_time and paid_time say which order day it belongs
-- to. Where an earlier event comes late, rows with sign -1 take back what it changes.
CREATE TABLE order_flow (
  order_id STRING NOT NULL,
  event_type STRING NOT NULL,
  event_time TIMESTAMP(3) NOT NULL,
  order_time TIMESTAMP(3) NOT NULL METADATA FROM 'order-time',
  paid_time TIMESTAMP(3) NOT NULL METADATA FROM 'paid-time',
  buyer_id STRING,
  province STRING,
  category STRING,
  brand STRING,
  channel STRING,
  platform STRING,
  currency STRING,
  sign INT NOT NULL METADATA,
  placed DECIMAL(18, 2) NOT NULL METADATA,
  cancelled DECIMAL(18, 2) NOT NULL METADATA,
  paid DECIMAL(18, 2) NOT NULL METADATA,
  refunded DECIMAL(18, 2) NOT NULL METADATA,
  net DECIMAL(18, 2) NOT NULL METADATA,
  excess DECIMAL(18, 2) NOT NULL METADATA,
  placed_orders BIGINT NOT NULL METADATA FROM 'placed-orders',
  cancelled_orders BIGINT NOT NULL METADATA FROM 'cancelled-orders',
  paid_orders BIGINT NOT NULL METADATA FROM 'paid-orders',
  refunded_orders BIGINT NOT NULL METADATA FROM 'refunded-orders',
  WATERMARK FOR event_time AS SOURCE_WATERMARK()
) WITH (
  'connector' = 'lifecycle',
  'source' = 'orders',
  'key' = 'order_id',
  'kind' = 'event_type',
  'amount' = 'amount',
  'currency' = 'currency',
  'currency.default' = 'CNY',
  'on.placed' = 'open',
  'on.deposit' = 'open pay',
  'on.paid' = 'pay',
  'on.balance' = 'pay',
  'on.cancelled' = 'cancel',
  'on.refunded' = 'refund',
  'horizon' = '30 d'
);

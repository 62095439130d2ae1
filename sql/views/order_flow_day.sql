-- title.zh: 订单流转（当日）
-- title.en: What became of orders, by day
-- unit: CNY
--
-- What is in a currency without a rate is among the orders, and not among the amounts: events_without_amount counts what
-- befell it; a refund above what was paid counts twice.
CREATE MATERIALIZED VIEW order_flow_day
WITH ('result.retention' = '31 d') AS
SELECT
  window_start,
  window_end,
  CAST(SUM(placed) AS DECIMAL(38, 2)) AS placed,
  CAST(SUM(cancelled) AS DECIMAL(38, 2)) AS cancelled,
  CAST(SUM(paid) AS DECIMAL(38, 2)) AS paid,
  CAST(SUM(refunded) AS DECIMAL(38, 2)) AS refunded,
  CAST(SUM(net) AS DECIMAL(38, 2)) AS net,
  CAST(SUM(excess) AS DECIMAL(38, 2)) AS excess,
  SUM(placed_orders) AS placed_orders,
  SUM(cancelled_orders) AS cancelled_orders,
  SUM(paid_orders) AS paid_orders,
  SUM(refunded_orders) AS refunded_orders,
  SUM(CASE WHEN net IS NULL THEN sign ELSE 0 END) AS events_without_amount
FROM TABLE(TUMBLE(TABLE flow_in_yuan, DESCRIPTOR(event_time), INTERVAL '1' DAY))
GROUP BY window_start, window_end;

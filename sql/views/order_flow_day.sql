-- title.zh: 订单流转（当日）
-- title.en: What became of orders, by day
-- unit: CNY
CREATE MATERIALIZED VIEW order_flow_day
WITH ('result.retention' = '31 d') AS
SELECT
  window_start,
  window_end,
  SUM(placed) AS placed,
  SUM(cancelled) AS cancelled,
  SUM(paid) AS paid,
  SUM(refunded) AS refunded,
  SUM(net) AS net,
  SUM(excess) AS excess,
  SUM(placed_orders) AS placed_orders,
  SUM(cancelled_orders) AS cancelled_orders,
  SUM(paid_orders) AS paid_orders,
  SUM(refunded_orders) AS refunded_orders
FROM TABLE(TUMBLE(TABLE order_flow, DESCRIPTOR(event_time), INTERVAL '1' DAY))
GROUP BY window_start, window_end;

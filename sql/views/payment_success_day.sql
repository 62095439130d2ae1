-- title.zh: 支付成功率
-- title.en: Share of the day's orders that were paid
-- unit: orders
--
-- By the day of the order: one that is paid after midnight counts for the day on which it was placed.
CREATE MATERIALIZED VIEW payment_success_day
WITH ('result.retention' = '62 d', 'allowed-lateness' = '31 d') AS
SELECT
  window_start,
  window_end,
  SUM(placed_orders) AS placed_orders,
  SUM(paid_orders) AS paid_orders,
  CAST(CAST(SUM(paid_orders) AS DECIMAL(18, 4)) / NULLIF(SUM(placed_orders), 0) AS DECIMAL(9, 4)) AS payment_success
FROM TABLE(TUMBLE(TABLE order_flow_by_order, DESCRIPTOR(order_time), INTERVAL '1' DAY))
GROUP BY window_start, window_end;

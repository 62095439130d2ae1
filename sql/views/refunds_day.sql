-- title.zh: 今日退款
-- title.en: Refunds of the day
-- unit: CNY
--
-- By the day the money goes back. refund_rate is against what was paid on the same day.
CREATE MATERIALIZED VIEW refunds_day AS
SELECT
  window_start,
  window_end,
  SUM(refunded) AS refunded,
  SUM(refunded_orders) AS refunded_orders,
  CAST(SUM(refunded) / NULLIF(SUM(paid), 0) AS DECIMAL(9, 4)) AS refund_rate
FROM order_flow_day
GROUP BY window_start, window_end;

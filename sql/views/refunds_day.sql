-- title.zh: 今日退款
-- title.en: Refunds of the day
-- unit: CNY
--
-- By the day the money goes back. refund_rate is against what was paid on the same day. What is in a currency without a rate
-- is in none of the amounts: events_without_amount counts it, of whatever kind.
CREATE MATERIALIZED VIEW refunds_day AS
SELECT
  window_start,
  window_end,
  SUM(refunded) AS refunded,
  SUM(refunded_orders) AS refunded_orders,
  CAST(SUM(refunded) / NULLIF(SUM(paid), 0) AS DECIMAL(9, 4)) AS refund_rate,
  SUM(events_without_amount) AS events_without_amount
FROM order_flow_day
GROUP BY window_start, window_end;

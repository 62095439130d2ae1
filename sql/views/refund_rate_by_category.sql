-- title.zh: 各品类退款率
-- title.en: Refund rate by category
-- unit: CNY
--
-- events_without_amount counts what befell orders in a currency without a rate, of which no amount is here.
CREATE MATERIALIZED VIEW refund_rate_by_category
WITH ('result.retention' = '31 d') AS
SELECT
  window_start,
  window_end,
  category,
  CAST(SUM(paid) AS DECIMAL(38, 2)) AS paid,
  CAST(SUM(refunded) AS DECIMAL(38, 2)) AS refunded,
  CAST(CAST(SUM(refunded) AS DECIMAL(38, 2)) / NULLIF(CAST(SUM(paid) AS DECIMAL(38, 2)), 0) AS DECIMAL(9, 4)) AS refund_rate,
  SUM(refunded_orders) AS refunded_orders,
  SUM(CASE WHEN net IS NULL THEN sign ELSE 0 END) AS events_without_amount
FROM TABLE(TUMBLE(TABLE flow_in_yuan, DESCRIPTOR(event_time), INTERVAL '1' DAY))
GROUP BY window_start, window_end, category;

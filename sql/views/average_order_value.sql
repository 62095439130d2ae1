-- title.zh: 客单价
-- title.en: Average order value
-- unit: CNY
CREATE MATERIALIZED VIEW average_order_value
WITH ('result.retention' = '31 d') AS
SELECT
  window_start,
  window_end,
  CAST(CAST(SUM(gmv) AS DECIMAL(38, 2)) / NULLIF(COUNT(gmv), 0) AS DECIMAL(18, 2)) AS average_order_value,
  COUNT(*) AS orders
FROM TABLE(TUMBLE(TABLE placed, DESCRIPTOR(event_time), INTERVAL '1' DAY))
GROUP BY window_start, window_end;

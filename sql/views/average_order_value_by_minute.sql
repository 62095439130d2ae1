-- title.zh: 每分钟客单价
-- title.en: Average order value by minute
-- unit: CNY
CREATE MATERIALIZED VIEW average_order_value_by_minute
WITH ('result.retention' = '2 h') AS
SELECT
  window_start,
  window_end,
  CAST(CAST(SUM(gmv) AS DECIMAL(38, 2)) / NULLIF(COUNT(gmv), 0) AS DECIMAL(18, 2)) AS average_order_value
FROM TABLE(TUMBLE(TABLE placed, DESCRIPTOR(event_time), INTERVAL '1' MINUTE))
GROUP BY window_start, window_end;

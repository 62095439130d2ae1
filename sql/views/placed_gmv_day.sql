-- title.zh: 下单金额
-- title.en: Amount of orders placed
-- unit: CNY
CREATE MATERIALIZED VIEW placed_gmv_day
WITH ('result.retention' = '31 d') AS
SELECT
  window_start,
  window_end,
  CAST(SUM(gmv) AS DECIMAL(38, 2)) AS gmv,
  COUNT(*) AS orders,
  COUNT(*) FILTER (WHERE gmv IS NULL) AS orders_without_gmv
FROM TABLE(TUMBLE(TABLE placed, DESCRIPTOR(event_time), INTERVAL '1' DAY))
GROUP BY window_start, window_end;

-- title.zh: 每日成交额
-- title.en: GMV by day
-- unit: CNY
CREATE MATERIALIZED VIEW gmv_by_day
WITH ('result.retention' = '31 d') AS
SELECT
  window_start,
  window_end,
  CAST(SUM(gmv) AS DECIMAL(38, 2)) AS gmv,
  COUNT(*) AS payments,
  COUNT(*) FILTER (WHERE gmv IS NULL) AS payments_without_gmv
FROM TABLE(TUMBLE(TABLE paid, DESCRIPTOR(event_time), INTERVAL '1' DAY))
GROUP BY window_start, window_end;

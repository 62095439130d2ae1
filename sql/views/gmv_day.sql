-- title.zh: 今日成交额
-- title.en: GMV of the day
-- unit: CNY
CREATE MATERIALIZED VIEW gmv_day
WITH ('result.retention' = '900 rows') AS
SELECT
  window_start,
  window_end,
  CAST(SUM(gmv) AS DECIMAL(38, 2)) AS gmv,
  COUNT(*) AS payments,
  COUNT(*) FILTER (WHERE gmv IS NULL) AS payments_without_gmv
FROM TABLE(CUMULATE(TABLE paid, DESCRIPTOR(event_time), INTERVAL '1' SECOND, INTERVAL '1' DAY))
GROUP BY window_start, window_end;

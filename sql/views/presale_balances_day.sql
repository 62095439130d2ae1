-- title.zh: 预售尾款（当日）
-- title.en: Presale balances of the day
-- unit: CNY
CREATE MATERIALIZED VIEW presale_balances_day
WITH ('result.retention' = '31 d') AS
SELECT
  window_start,
  window_end,
  CAST(SUM(gmv) AS DECIMAL(38, 2)) AS gmv,
  SUM(sign) AS payments,
  SUM(CASE WHEN gmv IS NULL THEN sign ELSE 0 END) AS payments_without_gmv
FROM TABLE(TUMBLE(TABLE presale_balances, DESCRIPTOR(event_time), INTERVAL '1' DAY))
GROUP BY window_start, window_end;

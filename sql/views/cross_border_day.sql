-- title.zh: 今日跨境成交
-- title.en: Cross-border sales of the day
-- unit: CNY
CREATE MATERIALIZED VIEW cross_border_day
WITH ('result.retention' = '31 d') AS
SELECT window_start, window_end, gmv, payments, countries, CAST(gmv / NULLIF(gmv_all, 0) AS DECIMAL(9, 4)) AS share
FROM (
  SELECT
    window_start,
    window_end,
    CAST(SUM(CASE WHEN country IS NOT NULL THEN gmv END) AS DECIMAL(38, 2)) AS gmv,
    CAST(SUM(gmv) AS DECIMAL(38, 2)) AS gmv_all,
    COUNT(country) AS payments,
    COUNT(DISTINCT country) AS countries
  FROM TABLE(TUMBLE(TABLE paid, DESCRIPTOR(event_time), INTERVAL '1' DAY))
  GROUP BY window_start, window_end
);

-- question.zh: 哪些分钟的成交超过全天平均的两倍?
-- question.en: Which minutes sell more than twice the average minute?
-- columns: minute, gmv_cny, times_average
-- note: May have no rows on an even day.
SELECT
  window_start AS minute,
  gmv AS gmv_cny,
  CAST(gmv / NULLIF(average, 0) AS DECIMAL(9, 2)) AS times_average
FROM (
  SELECT window_start, gmv, AVG(gmv) OVER () AS average
  FROM gmv_by_minute
)
WHERE gmv > 2 * average
ORDER BY gmv DESC, minute;

-- question.zh: 每小时卖多少,到那时累计多少?
-- question.en: What does each hour sell, and what is the day up to it?
-- columns: hour, gmv_cny, payments, gmv_so_far_cny
-- note: Of the minutes that are held: two days.
SELECT
  hour,
  SUM(gmv) AS gmv_cny,
  SUM(payments) AS payments,
  SUM(SUM(gmv)) OVER (PARTITION BY date_trunc('day', hour) ORDER BY hour) AS gmv_so_far_cny
FROM (
  SELECT date_trunc('hour', window_start) AS hour, gmv, payments
  FROM gmv_by_minute
)
GROUP BY hour
ORDER BY hour;

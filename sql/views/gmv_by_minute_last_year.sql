-- title.zh: 去年同时刻每分钟成交额
-- title.en: GMV per minute of last year, laid over today
-- unit: CNY
--
-- The whole day at once, minute by minute on today's clock. Empty where no curve has this scope and window.
CREATE MATERIALIZED VIEW gmv_by_minute_last_year AS
SELECT
  to_timestamp_millis(CAST(day.window_start AS BIGINT) + minute.`second` * 1000) AS window_start,
  to_timestamp_millis(CAST(day.window_start AS BIGINT) + (minute.`second` + 60) * 1000) AS window_end,
  CAST(MAX(minute.total - minute.before) AS DECIMAL(24, 2)) AS gmv,
  CAST(MAX((minute.total - minute.before) * (1 + minute.target_growth)) AS DECIMAL(24, 2)) AS target,
  MAX(minute.label_zh) AS label_zh,
  MAX(minute.label_en) AS label_en
FROM (SELECT MAX(window_start) AS window_start FROM business_days) AS day
CROSS JOIN (
  SELECT
    LAG(`second`) OVER (ORDER BY `second`) AS `second`,
    total,
    LAG(total) OVER (ORDER BY `second`) AS before,
    target_growth,
    label_zh,
    label_en
  FROM reference_segments
  WHERE `second` % 60 = 0
) AS minute
WHERE minute.before IS NOT NULL
GROUP BY
  to_timestamp_millis(CAST(day.window_start AS BIGINT) + minute.`second` * 1000),
  to_timestamp_millis(CAST(day.window_start AS BIGINT) + (minute.`second` + 60) * 1000);

-- question.zh: 今天的包裹有多少在 24 小时内送达?
-- question.en: How many of the deliveries of a day came within 24 hours?
-- columns: day, created, collected, delivered, within_a_day, within_a_day_percent
SELECT
  window_start AS day,
  created,
  collected,
  delivered,
  delivered_within_a_day AS within_a_day,
  CAST(100.0 * delivered_within_a_day / NULLIF(delivered, 0) AS DECIMAL(7, 2)) AS within_a_day_percent
FROM parcels_day
ORDER BY day;

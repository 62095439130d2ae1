-- question.zh: 维权结了多少,赔付了多少?
-- question.en: How many claims are settled, and what was paid for them?
-- columns: day, opened, settled, compensated, compensation_cny, compensated_percent
SELECT
  window_start AS day,
  opened,
  settled,
  compensated,
  compensation AS compensation_cny,
  CAST(100.0 * compensated / NULLIF(settled, 0) AS DECIMAL(7, 2)) AS compensated_percent
FROM claims_day
ORDER BY day;

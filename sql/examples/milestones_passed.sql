-- question.zh: 各个金额关口是什么时候突破的,用了多久?
-- question.en: When was each level passed, and how long did it take?
-- columns: day, level_cny, passed_at, seconds_after_midnight
-- note: May have no rows early in a day. The level counts when the step it fell in has ended.
SELECT
  window_start AS day,
  level AS level_cny,
  passed_at,
  (CAST(passed_at AS BIGINT) - CAST(window_start AS BIGINT)) / 1000 AS seconds_after_midnight
FROM milestones
WHERE passed_at IS NOT NULL AND curve IS NULL
ORDER BY day, level;

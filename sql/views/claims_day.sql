-- title.zh: 今日维权
-- title.en: Claims of the day
-- unit: CNY
CREATE MATERIALIZED VIEW claims_day
WITH ('result.retention' = '31 d') AS
SELECT
  window_start,
  window_end,
  COUNT(*) FILTER (WHERE event_type = 'opened') AS opened,
  COUNT(*) FILTER (WHERE event_type = 'settled') AS settled,
  COUNT(*) FILTER (WHERE event_type = 'settled' AND outcome = 'compensated') AS compensated,
  SUM(CASE WHEN event_type = 'settled' AND outcome = 'compensated' THEN amount END) AS compensation,
  APPROX_PERCENTILE(CASE WHEN event_type = 'settled' THEN age_ms END, 0.5) AS age_ms_p50
FROM TABLE(TUMBLE(TABLE claims, DESCRIPTOR(event_time), INTERVAL '1' DAY))
GROUP BY window_start, window_end;

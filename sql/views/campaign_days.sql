-- Which day of which wave each day with orders is: day_of_wave counts from 1. A day between waves has no row.
CREATE VIEW campaign_days AS
SELECT
  day.window_start,
  waves.wave,
  -- Days of 23 or 25 hours count as one, too.
  (CAST(day.window_start AS BIGINT) - CAST(waves.starts_at AS BIGINT) + 43200000) / 86400000 + 1 AS day_of_wave
FROM business_days AS day
JOIN campaigns AS waves ON day.window_start >= waves.starts_at AND day.window_start < waves.ends_at;

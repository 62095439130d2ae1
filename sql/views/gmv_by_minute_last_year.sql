-- title.zh: 去年同时刻每分钟成交额
-- title.en: GMV per minute of last year, laid over today
-- unit: CNY
--
-- The whole day at once, minute by minute on today's clock; a curve is straight between its points, and basis says what
-- it is from, as in reference_curves. Empty where no curve has this scope, window and day of the campaign.
CREATE MATERIALIZED VIEW gmv_by_minute_last_year AS
SELECT
  to_timestamp_millis(CAST(day.window_start AS BIGINT) + minute.`second` * 1000) AS window_start,
  to_timestamp_millis(CAST(day.window_start AS BIGINT) + (minute.`second` + 60) * 1000) AS window_end,
  CAST(MAX(minute.total - minute.before) AS DECIMAL(24, 2)) AS gmv,
  CAST(MAX((minute.total - minute.before) * (1 + minute.target_growth)) AS DECIMAL(24, 2)) AS target,
  MAX(minute.basis) AS basis,
  MAX(minute.label_zh) AS label_zh,
  MAX(minute.label_en) AS label_en
FROM (
  SELECT window_start, wave, day_of_wave
  FROM campaign_days
  WHERE window_start = (SELECT MAX(window_start) FROM business_days)
) AS day
JOIN (
  SELECT
    wave,
    day_of_wave,
    ends - 60 AS `second`,
    reached AS total,
    COALESCE(LAG(reached) OVER (PARTITION BY curve ORDER BY ends), 0) AS before,
    target_growth,
    basis,
    label_zh,
    label_en
  FROM (
    SELECT
      piece.*,
      clock.ends,
      CAST(
        piece.total + (piece.next_total - piece.total) * (clock.ends - piece.`second`)
          / (piece.next_second - piece.`second`)
        AS DECIMAL(24, 2)
      ) AS reached
    FROM (SELECT CAST(value AS BIGINT) * 60 AS ends FROM range(1, 1441)) AS clock
    JOIN reference_segments AS piece ON piece.`second` < clock.ends AND clock.ends <= piece.next_second
  )
) AS minute ON minute.wave = day.wave AND minute.day_of_wave = day.day_of_wave
GROUP BY
  to_timestamp_millis(CAST(day.window_start AS BIGINT) + minute.`second` * 1000),
  to_timestamp_millis(CAST(day.window_start AS BIGINT) + (minute.`second` + 60) * 1000);

-- title.zh: 与去年同时刻比较
-- title.en: Against last year at the same time of its campaign
-- unit: CNY
--
-- One row for the day. last_year is the curve at as many seconds after midnight, in the same scope over the same
-- window, of the same day of the same wave; where there is no such curve, or the day's own records begin too late to be
-- compared (comparable_days), the comparison is refused: growth and forecast are empty and the label says why.
-- The forecast is today's total and what last year still had to come, scaled by today's growth. It begins when a hundredth
-- of last year's day had come; its band is half of what is still to come at first and 15 % of it at the end, as more of
-- the day is known. It is a forecast and no figure.
CREATE MATERIALIZED VIEW year_on_year AS
SELECT
  window_start,
  MAX(gmv) AS gmv,
  MAX(last_year) AS last_year,
  CAST(MAX(ratio) - 1 AS DECIMAL(9, 4)) AS growth,
  MAX(day_total) AS last_year_day,
  CAST(MAX(day_total * (1 + target_growth)) AS DECIMAL(24, 2)) AS target,
  CAST(MAX(gmv + still) AS DECIMAL(24, 2)) AS forecast,
  CAST(MAX(gmv + still * (1 - band)) AS DECIMAL(24, 2)) AS forecast_low,
  CAST(MAX(gmv + still * (1 + band)) AS DECIMAL(24, 2)) AS forecast_high,
  COALESCE(MAX(basis), 'none') AS basis,
  COALESCE(MAX(label_zh), '无同口径、同活动日的去年曲线') AS label_zh,
  COALESCE(MAX(label_en), 'no curve of this day of the campaign in this scope') AS label_en
FROM (
  SELECT
    *,
    CASE WHEN last_year * 100 >= day_total THEN (day_total - last_year) * ratio END AS still,
    CAST(0.5 - 0.35 * last_year / day_total AS DECIMAL(5, 4)) AS band
  FROM (
    SELECT *, CAST(gmv / NULLIF(last_year, 0) AS DECIMAL(12, 6)) AS ratio
    FROM (
      SELECT
        today.window_start,
        CAST(today.gmv AS DECIMAL(24, 2)) AS gmv,
        CAST(
          CASE WHEN piece.is_comparable THEN
            piece.total + (piece.next_total - piece.total) * (today.seconds - piece.`second`)
              / (piece.next_second - piece.`second`)
          END
          AS DECIMAL(24, 2)
        ) AS last_year,
        piece.day_total,
        piece.target_growth,
        piece.basis,
        CASE WHEN piece.is_comparable OR piece.label_zh IS NULL THEN piece.label_zh ELSE '当日数据非自始，不作比较' END AS label_zh,
        CASE WHEN piece.is_comparable OR piece.label_en IS NULL THEN piece.label_en
          ELSE 'not compared: the records of the day begin too late' END AS label_en
      FROM (
        SELECT window_start, gmv, (CAST(window_end AS BIGINT) - CAST(window_start AS BIGINT)) / 1000 AS seconds
        FROM gmv_day
        WHERE window_end = (SELECT MAX(window_end) FROM gmv_day)
      ) AS today
      LEFT JOIN (
        SELECT days.window_start, pieces.*, whole.curve IS NOT NULL AS is_comparable
        FROM reference_segments AS pieces
        JOIN campaign_days AS days ON days.wave = pieces.wave AND days.day_of_wave = pieces.day_of_wave
        LEFT JOIN comparable_days AS whole ON whole.window_start = days.window_start AND whole.curve = pieces.curve
      ) AS piece
        ON piece.window_start = today.window_start
        AND piece.`second` < today.seconds AND today.seconds <= piece.next_second
    )
  )
)
GROUP BY window_start;

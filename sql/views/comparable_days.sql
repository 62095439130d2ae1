-- The days that may be compared with a curve, over the whole day: it is of the same day of the same wave, in the same scope
-- over the same window, and not more than a hundredth of it lies before the day's first order. Where the log begins later in the
-- day, what is missing would be told as a fall.
CREATE VIEW comparable_days AS
SELECT day.window_start, piece.curve
FROM (
  SELECT
    days.*,
    (CAST(first.first_at AS BIGINT) - CAST(first.window_start AS BIGINT)) / 1000 AS first_second
  FROM campaign_days AS days
  JOIN business_days AS first ON first.window_start = days.window_start
) AS day
JOIN reference_segments AS piece
  ON piece.wave = day.wave
  AND piece.day_of_wave = day.day_of_wave
  AND piece.`second` <= day.first_second AND day.first_second < piece.next_second
WHERE (piece.total + (piece.next_total - piece.total) * (day.first_second - piece.`second`)
  / (piece.next_second - piece.`second`)) * 100 <= piece.day_total;

-- title.zh: 里程碑（对比去年）
-- title.en: Milestones, with last year's times
-- unit: CNY
--
-- last_year_seconds is when last year's curve was at the level, in seconds after midnight, on the straight line between its
-- points as in year_on_year; empty where it never was, where no curve has this scope, window and day of the campaign,
-- and where the day's own records begin too late (comparable_days). The whole day of a curve is a level, with a name,
-- only where the curve may be compared with. A time known to the minute becomes one to the second as soon as the minute is
-- over, from gmv_by_second; one whose minute was told of later stays as it is.
CREATE MATERIALIZED VIEW milestones_compared AS
SELECT
  mine.window_start,
  mine.window_end,
  mine.level,
  MAX('超' || whole.label_zh || '全天') AS label_zh,
  MAX('Whole day, ' || whole.label_en) AS label_en,
  MIN(COALESCE(exact.passed_at, mine.passed_at)) AS passed_at,
  MIN(CASE WHEN exact.passed_at IS NULL THEN mine.step_seconds ELSE 1 END) AS step_seconds,
  MIN(CASE WHEN mine.curve IS NULL THEN theirs.last_year_seconds END) AS last_year_seconds
FROM milestones AS mine
LEFT JOIN (
  SELECT levels.window_start, levels.level, MIN(seconds.second_end) AS passed_at
  FROM milestones AS levels
  JOIN gmv_by_second AS seconds
    ON seconds.window_end = levels.passed_at
    AND seconds.minute_gmv = levels.after_step - levels.before_step
    AND levels.before_step + seconds.running >= levels.level
  WHERE levels.step_seconds = 60
  GROUP BY levels.window_start, levels.level
) AS exact ON exact.window_start = mine.window_start AND exact.level = mine.level
LEFT JOIN (
  SELECT
    days.window_start,
    levels.level,
    MIN(
      piece.`second` + CAST(
        CEIL((levels.level - piece.total) * (piece.next_second - piece.`second`) / (piece.next_total - piece.total)) AS BIGINT
      )
    ) AS last_year_seconds
  FROM milestone_levels AS levels
  JOIN reference_segments AS piece ON piece.total < levels.level AND piece.next_total >= levels.level
  JOIN comparable_days AS days ON days.curve = piece.curve
  GROUP BY days.window_start, levels.level
) AS theirs ON theirs.window_start = mine.window_start AND theirs.level = mine.level
LEFT JOIN (
  SELECT DISTINCT days.window_start, pieces.curve, pieces.label_zh, pieces.label_en
  FROM reference_segments AS pieces
  JOIN campaign_days AS days ON days.wave = pieces.wave AND days.day_of_wave = pieces.day_of_wave
) AS whole ON whole.window_start = mine.window_start AND whole.curve = mine.curve
WHERE mine.curve IS NULL OR whole.curve IS NOT NULL
GROUP BY mine.window_start, mine.window_end, mine.level;

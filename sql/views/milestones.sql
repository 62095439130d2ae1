-- title.zh: 里程碑
-- title.en: Milestones
-- unit: CNY
--
-- When the day's total passed each level: the end of the first step up to which the orders, by event
-- time, come to the level; NULL before that. Steps are seconds in the opening half hour, when
-- levels fall by the second, and minutes after it; step_seconds says which it was. before_step and after_step are what the
-- day had come to before that step and with it.
CREATE MATERIALIZED VIEW milestones
WITH ('result.retention' = '31 d') AS
SELECT window_start, window_end, level, curve,
  MIN(CASE WHEN running >= level THEN step_end END) AS passed_at,
  MIN(CASE WHEN running >= level THEN step_seconds END) AS step_seconds,
  COALESCE(MAX(CASE WHEN running < level THEN running END), 0) AS before_step,
  MIN(CASE WHEN running >= level THEN running END) AS after_step
FROM (
  SELECT window_start, window_end, step_end, step_seconds,
    SUM(gmv) OVER (PARTITION BY window_start, window_end ORDER BY step_end) AS running
  FROM (
    SELECT window_start, window_end, step_end, step_seconds, SUM(gmv) AS gmv
    FROM (
      SELECT *,
        CASE step_seconds
          WHEN 1 THEN date_trunc('second', event_time) + INTERVAL '1' SECOND
          ELSE date_trunc('minute', event_time) + INTERVAL '1' MINUTE
        END AS step_end
      FROM (
        SELECT *,
          CASE
            WHEN date_part('hour', event_time AT TIME ZONE 'Asia/Shanghai') = 0
              AND date_part('minute', event_time AT TIME ZONE 'Asia/Shanghai') < 30 THEN 1
            ELSE 60
          END AS step_seconds
        FROM TABLE(TUMBLE(TABLE paid, DESCRIPTOR(event_time), INTERVAL '1' DAY))
      )
    )
    GROUP BY window_start, window_end, step_end, step_seconds
  )
)
CROSS JOIN milestone_levels
GROUP BY window_start, window_end, level, curve;

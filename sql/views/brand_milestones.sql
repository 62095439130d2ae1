-- title.zh: 品牌里程碑
-- title.en: Milestones of brands
--
-- When the n-th brand of the day passed a level: the end of the step of ten minutes up to which its payments, by event
-- time, come to it. Of two brands that passed in one step the name decides. A row is there once the watermark has passed
-- the step, so it does not come twice and does not move.
CREATE MATERIALIZED VIEW brand_milestones AS
SELECT
  day AS window_start,
  level,
  nth,
  CASE nth WHEN 1 THEN '首个' ELSE '第' || CAST(nth AS STRING) || '个' END || '品牌超' || zh AS label_zh,
  CASE nth WHEN 1 THEN 'First brand' ELSE CAST(nth AS STRING) || ' brands' END || ' over ' || en AS label_en,
  brand,
  passed_at,
  600 AS step_seconds
FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY day, level ORDER BY passed_at, brand) AS nth
  FROM (
    SELECT day, brand, level, zh, en, MIN(window_end) AS passed_at
    FROM (
      SELECT *, SUM(gmv) OVER (PARTITION BY day, brand ORDER BY window_end) AS running
      FROM (
        SELECT *, date_trunc('day', window_start AT TIME ZONE 'Asia/Shanghai') AS day
        FROM gmv_by_brand_and_step
      )
      -- Of the days before some steps are no longer kept.
      WHERE day = (SELECT MAX(date_trunc('day', window_start AT TIME ZONE 'Asia/Shanghai')) FROM gmv_by_brand_and_step)
    )
    CROSS JOIN (
      VALUES
        (CAST(1000000 AS DECIMAL(38, 2)), '100万', '¥1M'),
        (CAST(10000000 AS DECIMAL(38, 2)), '1000万', '¥10M'),
        (CAST(100000000 AS DECIMAL(38, 2)), '1亿', '¥100M'),
        (CAST(1000000000 AS DECIMAL(38, 2)), '10亿', '¥1B')
    ) AS levels (level, zh, en)
    WHERE running >= level
    GROUP BY day, brand, level, zh, en
  )
)
WHERE nth IN (1, 10, 50, 100, 200);

-- The pieces of the curves that may stand beside paid@3 over a day: same scope, same window, one curve for each day
-- of a campaign. What was put between public marks says so, whatever it is called.
CREATE VIEW reference_segments AS
SELECT
  points.curve,
  curves.wave,
  curves.day_of_wave,
  curves.basis,
  curves.label_zh || CASE WHEN curves.basis = 'interpolated' AND curves.label_zh NOT LIKE '%插值%' THEN '（插值）' ELSE '' END AS label_zh,
  curves.label_en
    || CASE WHEN curves.basis = 'interpolated' AND curves.label_en NOT LIKE '%interpolated%' THEN ' (interpolated)' ELSE '' END
    AS label_en,
  curves.target_growth,
  points.`second`,
  points.total,
  LEAD(points.`second`) OVER (PARTITION BY points.curve ORDER BY points.`second`) AS next_second,
  LEAD(points.total) OVER (PARTITION BY points.curve ORDER BY points.`second`) AS next_total,
  MAX(points.total) OVER (PARTITION BY points.curve) AS day_total
FROM reference_points AS points
JOIN reference_curves AS curves ON curves.curve = points.curve
JOIN (
  SELECT MIN(known.curve) AS curve
  FROM reference_curves AS known
  JOIN (SELECT DISTINCT curve FROM reference_points) AS its ON its.curve = known.curve
  WHERE known.scope = 'paid@3' AND known.window_seconds = 86400
  GROUP BY known.wave, known.day_of_wave
) AS chosen ON chosen.curve = curves.curve;

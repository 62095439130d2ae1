-- The pieces of the curves that may stand beside paid@3 over a day: same scope, same window.
CREATE VIEW reference_segments AS
SELECT
  points.curve,
  curves.basis,
  curves.label_zh,
  curves.label_en,
  curves.target_growth,
  points.`second`,
  points.total,
  LEAD(points.`second`) OVER (PARTITION BY points.curve ORDER BY points.`second`) AS next_second,
  LEAD(points.total) OVER (PARTITION BY points.curve ORDER BY points.`second`) AS next_total,
  MAX(points.total) OVER (PARTITION BY points.curve) AS day_total
FROM reference_points AS points
JOIN reference_curves AS curves ON curves.curve = points.curve
WHERE curves.scope = 'paid@3'
  AND curves.window_seconds = 86400
  AND curves.curve = (
    SELECT MIN(known.curve)
    FROM reference_curves AS known
    JOIN reference_points AS its ON its.curve = known.curve
    WHERE known.scope = 'paid@3' AND known.window_seconds = 86400
  );

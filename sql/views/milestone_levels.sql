-- The amounts of a day worth a mark, in yuan, and the whole days of the reference curves.
CREATE VIEW milestone_levels AS
SELECT CAST(column1 AS DECIMAL(38, 2)) AS level, CAST(NULL AS STRING) AS curve
FROM (VALUES
  (1000000), (10000000), (50000000), (100000000), (200000000), (500000000), (1000000000),
  (2000000000), (5000000000), (10000000000), (50000000000), (100000000000), (200000000000),
  (300000000000), (400000000000), (500000000000)
)
UNION ALL
SELECT CAST(total AS DECIMAL(38, 2)), curve
FROM reference_points
WHERE `second` = 86400;

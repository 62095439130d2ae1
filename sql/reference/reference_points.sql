-- Running totals of the reference curves, in yuan, by the second of their campaign clock; straight in between.
--
-- The shipped points are public marks of 2019 (sources in double11_history.csv). Their scope is no scope of ours, so
-- nothing is compared with them; put the points of your own last year here. `tidemark demo` reads a generated file
-- in place of this one.
CREATE TABLE reference_points (
  curve STRING NOT NULL,
  `second` BIGINT NOT NULL,
  total DECIMAL(24, 2) NOT NULL
) WITH ('connector' = 'filesystem', 'path' = 'reference_points.csv', 'format' = 'csv', 'csv.header' = 'true');

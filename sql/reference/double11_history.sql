-- Public Double 11 marks, each with the source that printed it.
CREATE TABLE double11_history (
  `year` INT NOT NULL,
  metric STRING NOT NULL,
  `value` DECIMAL(24, 9) NOT NULL,
  unit STRING NOT NULL,
  clock_after_midnight STRING,
  source STRING NOT NULL
) WITH ('connector' = 'filesystem', 'path' = 'double11_history.csv', 'format' = 'csv', 'csv.header' = 'true');

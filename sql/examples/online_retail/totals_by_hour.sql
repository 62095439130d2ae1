-- Totals by hour of a recording, for `tidemark run`: net and gross in pounds, lines, invoices.
CREATE TABLE recording (
  `InvoiceNo` STRING,
  `StockCode` STRING,
  `Description` STRING,
  `Quantity` INT,
  `InvoiceDate` TIMESTAMP(3),
  `UnitPrice` DECIMAL(12, 3),
  `CustomerID` STRING,
  `Country` STRING,
  WATERMARK FOR `InvoiceDate` AS `InvoiceDate`
) WITH (
  'connector' = 'filesystem',
  'path' = '../../../tests/data/online_retail_2010-12-01.csv',
  'format' = 'csv',
  'csv.header' = 'true',
  'time-zone' = 'Europe/London'
);

SELECT
  to_char(window_start, '%Y-%m-%d %H:%M:%S') AS hour,
  COUNT(*) AS lines,
  COUNT(DISTINCT `InvoiceNo`) AS invoices,
  SUM(`Quantity` * `UnitPrice`) AS net_gbp,
  COALESCE(SUM(`Quantity` * `UnitPrice`) FILTER (WHERE `InvoiceNo` NOT LIKE 'C%'), 0) AS gross_gbp
FROM TABLE(TUMBLE(TABLE recording, DESCRIPTOR(`InvoiceDate`), INTERVAL '1' HOUR))
GROUP BY window_start, window_end;

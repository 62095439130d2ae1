-- Totals by day of a recording, for `tidemark run`: net and gross in pounds, lines, invoices.
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
  CAST(window_start AS DATE) AS day,
  COUNT(*) AS lines,
  COUNT(DISTINCT `InvoiceNo`) AS invoices,
  SUM(`Quantity` * `UnitPrice`) AS net_gbp,
  COALESCE(SUM(`Quantity` * `UnitPrice`) FILTER (WHERE `InvoiceNo` NOT LIKE 'C%'), 0) AS gross_gbp
FROM TABLE(TUMBLE(TABLE recording, DESCRIPTOR(`InvoiceDate`), INTERVAL '1' DAY))
GROUP BY window_start, window_end;

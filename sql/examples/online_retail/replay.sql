-- Recorded lines as records of the stream `retail`, for `tidemark replay`. Times are UK wall clock.
CREATE TABLE recording (
  __offset BIGINT,
  `InvoiceNo` STRING,
  `StockCode` STRING,
  `Description` STRING,
  `Quantity` INT,
  `InvoiceDate` TIMESTAMP(3),
  `UnitPrice` DECIMAL(12, 3),
  `CustomerID` STRING,
  `Country` STRING
) WITH (
  'connector' = 'filesystem',
  'path' = '../../../tests/data/online_retail_2010-12-01.csv',
  'format' = 'csv',
  'csv.header' = 'true',
  'time-zone' = 'Europe/London'
);

INSERT INTO retail
SELECT __offset, `InvoiceNo`, `StockCode`, `Description`, `Quantity`, `InvoiceDate`, `UnitPrice`, `CustomerID`, `Country`
FROM recording;

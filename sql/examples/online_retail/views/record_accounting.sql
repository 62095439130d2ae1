-- title.zh: 记录核对
-- title.en: Record accounting
-- unit: records
CREATE MATERIALIZED VIEW record_accounting AS
SELECT
  stream,
  SUM("read") AS "read",
  SUM(accepted) AS accepted,
  SUM(duplicate) AS duplicate,
  SUM(rejected) AS rejected,
  SUM(shadow) AS shadow,
  SUM(control) AS control
FROM records_accounted
GROUP BY stream;

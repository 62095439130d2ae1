-- title.zh: 每小时毛额
-- title.en: Gross by hour
-- unit: GBP
CREATE MATERIALIZED VIEW gross_by_hour
WITH ('result.retention' = '400 d') AS
SELECT window_start, window_end, SUM(gmv) AS gmv, COUNT(*) AS lines, COUNT(DISTINCT invoice) AS invoices
FROM TABLE(TUMBLE(TABLE gross, DESCRIPTOR(event_time), INTERVAL '1' HOUR))
GROUP BY window_start, window_end;

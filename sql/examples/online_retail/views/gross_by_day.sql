-- title.zh: 每日毛额
-- title.en: Gross by day
-- unit: GBP
CREATE MATERIALIZED VIEW gross_by_day
WITH ('result.retention' = '400 d') AS
SELECT window_start, window_end, SUM(gmv) AS gmv, COUNT(*) AS lines, COUNT(DISTINCT invoice) AS invoices
FROM TABLE(TUMBLE(TABLE gross, DESCRIPTOR(event_time), INTERVAL '1' DAY))
GROUP BY window_start, window_end;

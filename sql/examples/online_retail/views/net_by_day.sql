-- title.zh: 每日净额
-- title.en: Net by day
-- unit: GBP
CREATE MATERIALIZED VIEW net_by_day
WITH ('result.retention' = '400 d') AS
SELECT window_start, window_end, SUM(gmv) AS gmv, COUNT(*) AS lines, COUNT(DISTINCT invoice) AS invoices
FROM TABLE(TUMBLE(TABLE net, DESCRIPTOR(event_time), INTERVAL '1' DAY))
GROUP BY window_start, window_end;

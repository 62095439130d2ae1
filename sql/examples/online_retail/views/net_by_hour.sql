-- title.zh: 每小时净额
-- title.en: Net by hour
-- unit: GBP
CREATE MATERIALIZED VIEW net_by_hour
WITH ('result.retention' = '400 d') AS
SELECT window_start, window_end, SUM(gmv) AS gmv, COUNT(*) AS lines, COUNT(DISTINCT invoice) AS invoices
FROM TABLE(TUMBLE(TABLE net, DESCRIPTOR(event_time), INTERVAL '1' HOUR))
GROUP BY window_start, window_end;

-- title.zh: 每分钟净成交额
-- title.en: Net GMV per minute
-- unit: CNY
CREATE MATERIALIZED VIEW net_gmv_by_minute
WITH ('result.retention' = '2 h') AS
SELECT window_start, window_end, CAST(SUM(gmv) AS DECIMAL(38, 2)) AS net_gmv
FROM TABLE(TUMBLE(TABLE net, DESCRIPTOR(event_time), INTERVAL '1' MINUTE))
GROUP BY window_start, window_end;

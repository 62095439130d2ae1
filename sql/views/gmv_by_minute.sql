-- title.zh: 每分钟成交额
-- title.en: GMV per minute
-- unit: CNY
CREATE MATERIALIZED VIEW gmv_by_minute
WITH ('result.retention' = '2 d') AS
SELECT window_start, window_end, CAST(SUM(gmv) AS DECIMAL(38, 2)) AS gmv, COUNT(*) AS payments
FROM TABLE(TUMBLE(TABLE paid, DESCRIPTOR(event_time), INTERVAL '1' MINUTE))
GROUP BY window_start, window_end;

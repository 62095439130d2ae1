-- title.zh: 今日成交额
-- title.en: GMV of the day
-- unit: CNY
CREATE MATERIALIZED VIEW gmv_day
WITH ('result.retention' = '900 rows') AS
SELECT window_start, window_end, SUM(gmv) AS gmv, COUNT(*) AS orders
FROM TABLE(CUMULATE(TABLE paid, DESCRIPTOR(event_time), INTERVAL '1' SECOND, INTERVAL '1' DAY))
GROUP BY window_start, window_end;

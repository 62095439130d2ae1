-- title.zh: 每秒下单数
-- title.en: Orders per second
-- unit: orders
CREATE MATERIALIZED VIEW orders_per_second
WITH ('result.retention' = '900 rows') AS
SELECT window_start, window_end, COUNT(*) AS orders
FROM TABLE(TUMBLE(TABLE placed, DESCRIPTOR(event_time), INTERVAL '1' SECOND))
GROUP BY window_start, window_end;

CREATE MATERIALIZED VIEW visits WITH ('result.retention' = '4 d') AS
SELECT window_start, window_end, province, COUNT(*) AS events
FROM SESSION(TABLE orders PARTITION BY province, DESCRIPTOR(event_time), INTERVAL '20' MINUTE)
GROUP BY window_start, window_end, province;

CREATE MATERIALIZED VIEW steps WITH ('result.retention' = '2 h') AS
SELECT window_start, window_end, SUM(amount) AS amount, COUNT(*) AS events
FROM CUMULATE(orders, event_time, INTERVAL '10' MINUTE, INTERVAL '1' DAY)
GROUP BY window_start, window_end;

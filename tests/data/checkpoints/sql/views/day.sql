CREATE MATERIALIZED VIEW day WITH ('result.retention' = '4 d', 'allowed-lateness' = '6 h') AS
SELECT window_start, window_end, province, SUM(amount) AS amount, COUNT(*) AS events, COUNT(DISTINCT order_id) AS orders
FROM TUMBLE(orders, event_time, INTERVAL '1' DAY)
GROUP BY window_start, window_end, province;

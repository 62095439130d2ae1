-- title.zh: 各渠道成交额
-- title.en: GMV by channel
-- unit: CNY
CREATE MATERIALIZED VIEW gmv_by_channel
WITH ('result.retention' = '31 d') AS
SELECT window_start, window_end, channel, CAST(SUM(gmv) AS DECIMAL(38, 2)) AS gmv, COUNT(*) AS payments
FROM TABLE(TUMBLE(TABLE paid, DESCRIPTOR(event_time), INTERVAL '1' DAY))
GROUP BY window_start, window_end, channel;

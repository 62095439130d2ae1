-- title.zh: 支付买家数（近似去重）
-- title.en: Buyers (approximate distinct)
-- unit: buyers
CREATE MATERIALIZED VIEW buyers_day
WITH ('result.retention' = '31 d') AS
SELECT window_start, window_end, APPROX_DISTINCT(buyer_id) AS buyers
FROM TABLE(TUMBLE(TABLE paid, DESCRIPTOR(event_time), INTERVAL '1' DAY))
GROUP BY window_start, window_end;

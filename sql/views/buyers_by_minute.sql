-- title.zh: 每分钟支付买家数（近似去重）
-- title.en: Buyers per minute (approximate distinct)
-- unit: buyers
CREATE MATERIALIZED VIEW buyers_by_minute
WITH ('result.retention' = '2 h') AS
SELECT window_start, window_end, APPROX_DISTINCT(buyer_id) AS buyers
FROM TABLE(TUMBLE(TABLE paid, DESCRIPTOR(event_time), INTERVAL '1' MINUTE))
GROUP BY window_start, window_end;

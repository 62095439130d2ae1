-- title.zh: 跨境成交额（按买家国家和地区）
-- title.en: Cross-border GMV by the buyer's country
-- unit: CNY
CREATE MATERIALIZED VIEW gmv_by_country
WITH ('result.retention' = '31 d') AS
SELECT window_start, window_end, country, CAST(SUM(gmv) AS DECIMAL(38, 2)) AS gmv, COUNT(*) AS payments
FROM TABLE(TUMBLE(TABLE paid, DESCRIPTOR(event_time), INTERVAL '1' DAY))
WHERE country IS NOT NULL
GROUP BY window_start, window_end, country;

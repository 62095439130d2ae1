-- title.zh: 最新包裹
-- title.en: Newest parcels
-- unit: CNY
CREATE MATERIALIZED VIEW newest
WITH ('result.retention' = '20 rows') AS
SELECT window_start, window_end, sent_at, id, shop, SUM(price) AS price
FROM TABLE(TUMBLE(TABLE parcels, DESCRIPTOR(sent_at), INTERVAL '1' SECOND))
GROUP BY window_start, window_end, sent_at, id, shop;

-- title.zh: 店铺
-- title.en: Shops
-- unit: CNY
CREATE MATERIALIZED VIEW shops AS
SELECT window_start, window_end, shop, SUM(price) AS price
FROM TABLE(TUMBLE(TABLE parcels, DESCRIPTOR(sent_at), INTERVAL '1' DAY))
GROUP BY window_start, window_end, shop;

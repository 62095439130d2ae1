-- title.zh: 实时订单（抽样、脱敏）
-- title.en: Orders as they come (sampled and masked)
-- unit: CNY
--
-- For people to look at, not to add up: of the orders whose number ends in 00, one in a hundred, the
-- first five of each second, without names. The true rate is orders_per_second. The sample goes by
-- the number, so that it is the same whoever computes it and a burst does not fill memory.
CREATE MATERIALIZED VIEW live_orders
WITH ('result.retention' = '40 rows') AS
SELECT window_start, window_end, placed_at, province, city, category, buyer, amount
FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY placed_at) AS nth
  FROM (
    SELECT window_start, window_end, event_time AS placed_at, province, city, category,
      '***' || RIGHT(buyer_id, 4) AS buyer, CAST(SUM(gmv) AS DECIMAL(38, 2)) AS amount
    FROM TABLE(TUMBLE(TABLE placed, DESCRIPTOR(event_time), INTERVAL '1' SECOND))
    WHERE order_id LIKE '%00'
    GROUP BY window_start, window_end, event_time, province, city, category, '***' || RIGHT(buyer_id, 4)
  )
)
WHERE nth <= 5;

-- title.zh: 实时订单（抽样）
-- title.en: Orders as they come (sampled)
-- unit: CNY
--
-- For people to look at, not to add up: of the orders whose number ends in 00, one in a hundred, the
-- first five of each second. Nothing of the buyer is in it, not even in part: time, city and amount find the
-- order in the history, and with it whose it is. Orders of one category in one city in the same
-- millisecond are one line. The true rate is orders_per_second. The sample goes by
-- the number, so that it is the same whoever computes it and a burst does not fill memory.
CREATE MATERIALIZED VIEW live_orders
WITH ('result.retention' = '40 rows') AS
SELECT window_start, window_end, placed_at, province, city, category, amount
FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY placed_at) AS nth
  FROM (
    SELECT window_start, window_end, event_time AS placed_at, province, city, category,
      CAST(SUM(gmv) AS DECIMAL(38, 2)) AS amount
    FROM TABLE(TUMBLE(TABLE placed, DESCRIPTOR(event_time), INTERVAL '1' SECOND))
    WHERE order_id LIKE '%00'
    GROUP BY window_start, window_end, event_time, province, city, category
  )
)
WHERE nth <= 5;

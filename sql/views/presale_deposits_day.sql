-- title.zh: 预售定金（当日）
-- title.en: Presale deposits of the day
-- unit: CNY
CREATE MATERIALIZED VIEW presale_deposits_day
WITH ('result.retention' = '31 d') AS
SELECT
  window_start,
  window_end,
  CAST(SUM(gmv) AS DECIMAL(38, 2)) AS gmv,
  SUM(paid_orders) AS orders,
  SUM(CASE WHEN gmv IS NULL THEN paid_orders ELSE 0 END) AS orders_without_gmv
FROM TABLE(TUMBLE(TABLE presale_deposits, DESCRIPTOR(event_time), INTERVAL '1' DAY))
GROUP BY window_start, window_end;

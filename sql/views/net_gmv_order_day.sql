-- title.zh: 净成交额（按订单日）
-- title.en: Net GMV by order day
-- unit: CNY
--
-- events_without_gmv counts what befell orders in a currency without a rate; a refund above what was paid counts twice.
CREATE MATERIALIZED VIEW net_gmv_order_day
WITH ('result.retention' = '62 d', 'allowed-lateness' = '31 d') AS
SELECT
  window_start,
  window_end,
  CAST(SUM(gmv) AS DECIMAL(38, 2)) AS net_gmv,
  SUM(CASE WHEN gmv IS NULL THEN sign ELSE 0 END) AS events_without_gmv
FROM TABLE(TUMBLE(TABLE net_order_day, DESCRIPTOR(order_time), INTERVAL '1' DAY))
GROUP BY window_start, window_end;

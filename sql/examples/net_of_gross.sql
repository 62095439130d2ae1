-- question.zh: 每天下单的金额付了多少,扣除退款后还剩多少?
-- question.en: Of what was ordered each day, how much was paid, and how much is left after refunds?
-- columns: day, placed_cny, net_cny, kept_percent
SELECT
  placed.window_start AS day,
  placed.gmv AS placed_cny,
  net.net_gmv AS net_cny,
  CAST(100 * net.net_gmv / NULLIF(placed.gmv, 0) AS DECIMAL(7, 2)) AS kept_percent
FROM placed_gmv_day AS placed
JOIN net_gmv_day AS net ON net.window_start = placed.window_start
ORDER BY day;

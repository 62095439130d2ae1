-- Of what was ordered each day, how much was paid, and how much is left after refunds?
SELECT
  placed.window_start AS day,
  placed.gmv AS placed_cny,
  net.net_gmv AS net_cny,
  CAST(100 * net.net_gmv / NULLIF(placed.gmv, 0) AS DECIMAL(7, 2)) AS kept_percent
FROM placed_gmv_day AS placed
JOIN net_gmv_day AS net ON net.window_start = placed.window_start
ORDER BY day;

-- Which ten minutes of the day sold most?
SELECT window_start AS minute, gmv AS gmv_cny, orders
FROM gmv_by_minute
ORDER BY gmv DESC, window_start
LIMIT 10;

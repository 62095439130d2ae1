-- question.zh: 一天里卖得最多的是哪十分钟?
-- question.en: Which ten minutes of the day sold most?
-- columns: minute, gmv_cny, payments
SELECT window_start AS minute, gmv AS gmv_cny, payments
FROM gmv_by_minute
ORDER BY gmv DESC, window_start
LIMIT 10;

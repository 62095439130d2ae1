-- question.zh: 下单峰值是每秒多少笔,在什么时候?
-- question.en: What was the peak of orders a second, and when?
-- columns: second, orders, times_average
-- note: Of the seconds that are held: the newest 900.
SELECT
  window_start AS "second",
  orders,
  CAST(CAST(orders AS DECIMAL(18, 2)) / NULLIF(AVG(orders) OVER (), 0) AS DECIMAL(9, 2)) AS times_average
FROM orders_per_second
ORDER BY orders DESC, "second"
LIMIT 5;

-- question.zh: 每天有多少订单被取消,多少付了款?
-- question.en: How many orders of each day are cancelled, and how many paid?
-- columns: day, placed_orders, cancelled_orders, cancelled_percent, paid_orders
-- note: Cancellations count on the day they come.
SELECT
  window_start AS day,
  placed_orders,
  cancelled_orders,
  CAST(100.0 * cancelled_orders / NULLIF(placed_orders, 0) AS DECIMAL(7, 2)) AS cancelled_percent,
  paid_orders
FROM order_flow_day
ORDER BY day;

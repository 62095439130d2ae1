-- question.zh: 按付款的小时看,有多少订单后来退了款?
-- question.en: Of the orders first paid in an hour, how many were refunded since?
-- columns: hour, orders, refunded_orders, refund_percent
-- note: asked of every order that is kept; an order that was partly refunded is one that was refunded
SELECT
  date_trunc('hour', paid.paid_at) AS hour,
  COUNT(*) AS orders,
  COUNT(refunded.order_id) AS refunded_orders,
  CAST(100.0 * COUNT(refunded.order_id) / COUNT(*) AS DECIMAL(5, 2)) AS refund_percent
FROM (
  SELECT order_id, MIN(event_time) AS paid_at
  FROM orders
  WHERE event_type IN ('paid', 'deposit', 'balance')
  GROUP BY order_id
) AS paid
LEFT JOIN (
  SELECT DISTINCT order_id
  FROM orders
  WHERE event_type = 'refunded'
) AS refunded ON refunded.order_id = paid.order_id
GROUP BY 1
ORDER BY 1;

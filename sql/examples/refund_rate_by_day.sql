-- question.zh: 每天退了多少钱,占当天付款的多少?
-- question.en: What goes back each day, and what part is it of what was paid that day?
-- columns: day, paid_cny, refunded_cny, refund_percent, excess_cny
-- note: excess_cny was asked back beyond what its order had paid.
SELECT
  window_start AS day,
  paid AS paid_cny,
  refunded AS refunded_cny,
  CAST(100 * refunded / NULLIF(paid, 0) AS DECIMAL(7, 2)) AS refund_percent,
  excess AS excess_cny
FROM order_flow_day
ORDER BY day;

-- question.zh: 哪些品类退款率最高?
-- question.en: Which categories have the highest refund rate?
-- columns: category, paid_cny, refunded_cny, refund_percent, refunds
-- note: The day of the refund counts. By the hour it needs the history.
SELECT
  category,
  SUM(paid) AS paid_cny,
  SUM(refunded) AS refunded_cny,
  CAST(100 * SUM(refunded) / NULLIF(SUM(paid), 0) AS DECIMAL(7, 2)) AS refund_percent,
  SUM(refunded_orders) AS refunds
FROM refund_rate_by_category
GROUP BY category
ORDER BY refund_percent DESC NULLS LAST, category;

-- What is the day worth in yuan over all currencies, at the scope's pinned rates, and what is left out?
SELECT
  window_start AS day,
  SUM(gmv) AS gmv_cny,
  SUM(orders) AS orders,
  SUM(orders_without_rate) AS orders_without_rate
FROM gmv_by_currency
GROUP BY window_start
ORDER BY day;

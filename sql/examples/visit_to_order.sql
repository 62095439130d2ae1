-- question.zh: 从访问、加购到下单,转化率是多少?
-- question.en: From visit over cart to order: what is the conversion?
-- columns: day, visits, visitors, carts, orders, carts_per_100_visits, orders_per_100_visits
-- note: visitors are counted approximately.
SELECT
  behaviour.window_start AS day,
  behaviour.visits,
  behaviour.visitors,
  behaviour.carts,
  placed.orders,
  CAST(100.0 * behaviour.carts / NULLIF(behaviour.visits, 0) AS DECIMAL(9, 2)) AS carts_per_100_visits,
  CAST(100.0 * placed.orders / NULLIF(behaviour.visits, 0) AS DECIMAL(9, 2)) AS orders_per_100_visits
FROM behaviour_day AS behaviour
JOIN placed_gmv_day AS placed ON placed.window_start = behaviour.window_start
ORDER BY day;

-- question.zh: 每个买家花多少钱,每单值多少?(买家数为近似去重)
-- question.en: What does a buyer spend, and what is an order worth? Buyers are counted approximately.
-- columns: day, buyers, gmv_per_buyer_cny, average_order_value_cny
SELECT
  buyers.window_start AS day,
  buyers.buyers,
  CAST(paid.gmv / NULLIF(buyers.buyers, 0) AS DECIMAL(18, 2)) AS gmv_per_buyer_cny,
  average.average_order_value AS average_order_value_cny
FROM buyers_day AS buyers
JOIN (
  SELECT window_start, SUM(gmv) AS gmv
  FROM gmv_by_channel
  GROUP BY window_start
) AS paid ON paid.window_start = buyers.window_start
JOIN average_order_value AS average ON average.window_start = buyers.window_start
ORDER BY day;

-- question.zh: 各品类每笔付款多少钱,和平均比怎样?
-- question.en: What is a payment worth in each category, against the average?
-- columns: category, gmv_cny, payments, payment_cny, of_average_percent
SELECT
  category,
  SUM(gmv) AS gmv_cny,
  SUM(payments) AS payments,
  CAST(SUM(gmv) / NULLIF(SUM(payments), 0) AS DECIMAL(18, 2)) AS payment_cny,
  CAST(100 * (SUM(gmv) / NULLIF(SUM(payments), 0))
    / NULLIF(SUM(SUM(gmv)) OVER () / NULLIF(SUM(SUM(payments)) OVER (), 0), 0) AS DECIMAL(9, 2)) AS of_average_percent
FROM gmv_by_category
GROUP BY category
ORDER BY payment_cny DESC, category;

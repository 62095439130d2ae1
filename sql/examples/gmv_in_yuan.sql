-- question.zh: 按口径固定汇率,全部币种折合多少人民币?有多少单因没有汇率而未计入?
-- question.en: What is the day worth in yuan over all currencies, at the scope's pinned rates, and what is left out?
-- columns: day, gmv_cny, payments, payments_without_gmv
SELECT
  window_start AS day,
  SUM(gmv) AS gmv_cny,
  SUM(payments) AS payments,
  SUM(payments_without_gmv) AS payments_without_gmv
FROM gmv_by_currency
GROUP BY window_start
ORDER BY day;

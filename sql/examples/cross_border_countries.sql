-- question.zh: 跨境买家来自哪里,每单值多少?
-- question.en: Where do cross-border buyers come from, and what is their order worth?
-- columns: country, gmv_cny, payments, payment_cny
SELECT
  country,
  SUM(gmv) AS gmv_cny,
  SUM(payments) AS payments,
  CAST(SUM(gmv) / NULLIF(SUM(payments), 0) AS DECIMAL(18, 2)) AS payment_cny
FROM gmv_by_country
GROUP BY country
ORDER BY gmv_cny DESC, country;

-- question.zh: 每一万单付款有多少维权?
-- question.en: How many claims are there for ten thousand payments?
-- columns: day, payments, claims, claims_per_10000
SELECT
  paid.window_start AS day,
  paid.payments AS payments,
  claims.opened AS claims,
  CAST(10000.0 * claims.opened / NULLIF(paid.payments, 0) AS DECIMAL(9, 2)) AS claims_per_10000
FROM gmv_by_day AS paid
JOIN claims_day AS claims ON claims.window_start = paid.window_start
ORDER BY day;

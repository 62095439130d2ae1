-- question.zh: 今天哪些省领先,各占全天多少?
-- question.en: Which provinces lead today, and what share of the day is theirs?
-- columns: place, province, gmv_cny, payments, share_percent
SELECT
  RANK() OVER (ORDER BY gmv DESC) AS place,
  province,
  gmv AS gmv_cny,
  payments,
  CAST(100 * gmv / NULLIF(SUM(gmv) OVER (), 0) AS DECIMAL(5, 2)) AS share_percent
FROM gmv_by_province
WHERE window_start = (SELECT MAX(window_start) FROM gmv_by_province)
ORDER BY place, province;

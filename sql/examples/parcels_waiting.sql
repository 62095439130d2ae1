-- question.zh: 哪些省的包裹积压最多?
-- question.en: In which provinces do most parcels wait to be collected?
-- columns: province, created, waiting, on_the_way, delivered, waiting_percent
SELECT
  province,
  SUM(created) AS created,
  SUM(waiting) AS waiting,
  SUM(on_the_way) AS on_the_way,
  SUM(delivered) AS delivered,
  CAST(100.0 * SUM(waiting) / NULLIF(SUM(created), 0) AS DECIMAL(7, 2)) AS waiting_percent
FROM parcels_by_province
GROUP BY province
ORDER BY waiting DESC, province;

-- question.zh: 每个省成交最多的是哪个城市,占全省多少?
-- question.en: Which city leads in each province, and what part of the province is it?
-- columns: province, city, gmv_cny, share_percent
SELECT province, city, gmv_cny, share_percent
FROM (
  SELECT
    province,
    city,
    gmv AS gmv_cny,
    CAST(100 * gmv / NULLIF(SUM(gmv) OVER (PARTITION BY province), 0) AS DECIMAL(7, 2)) AS share_percent,
    ROW_NUMBER() OVER (PARTITION BY province ORDER BY gmv DESC, city) AS nth
  FROM gmv_by_city
  WHERE window_start = (SELECT MAX(window_start) FROM gmv_by_city)
)
WHERE nth = 1
ORDER BY gmv_cny DESC, province;

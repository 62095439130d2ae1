-- question.zh: 头部品牌占全天成交的多少?
-- question.en: How much of the day do the leading brands make up?
-- columns: rank, brand, gmv_cny, share_so_far_percent
SELECT
  brands.rank,
  brands.brand,
  brands.gmv AS gmv_cny,
  CAST(100 * SUM(brands.gmv) OVER (ORDER BY brands.rank) / NULLIF(day.gmv, 0) AS DECIMAL(5, 2)) AS share_so_far_percent
FROM top_brands AS brands
JOIN (
  SELECT window_start, SUM(gmv) AS gmv
  FROM gmv_by_category
  GROUP BY window_start
) AS day ON day.window_start = brands.window_start
WHERE brands.window_start = (SELECT MAX(window_start) FROM top_brands)
ORDER BY brands.rank;

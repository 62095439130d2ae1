-- title.zh: 品牌成交榜
-- title.en: Top brands
-- unit: CNY
CREATE MATERIALIZED VIEW top_brands
WITH ('result.retention' = '31 d') AS
SELECT window_start, window_end, rank, brand, gmv, payments
FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY gmv DESC) AS rank
  FROM (
    SELECT window_start, window_end, brand, CAST(SUM(gmv) AS DECIMAL(38, 2)) AS gmv, COUNT(*) AS payments
    FROM TABLE(TUMBLE(TABLE paid, DESCRIPTOR(event_time), INTERVAL '1' DAY))
    GROUP BY window_start, window_end, brand
  )
)
WHERE rank <= 10;

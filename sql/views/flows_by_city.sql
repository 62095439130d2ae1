-- title.zh: 货从哪里来，到哪里去
-- title.en: Where goods come from and go to
-- unit: CNY
--
-- The sixty largest pairs of seller's city and buyer's province of the day. An arc on the wall is one of these
-- rows that has grown.
CREATE MATERIALIZED VIEW flows_by_city
WITH ('result.retention' = '31 d') AS
SELECT window_start, window_end, seller_city, province, gmv, payments
FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY gmv DESC) AS nth
  FROM (
    SELECT window_start, window_end, seller_city, province, CAST(SUM(gmv) AS DECIMAL(38, 2)) AS gmv, COUNT(*) AS payments
    FROM TABLE(TUMBLE(TABLE paid, DESCRIPTOR(event_time), INTERVAL '1' DAY))
    WHERE seller_city IS NOT NULL AND country IS NULL
    GROUP BY window_start, window_end, seller_city, province
  )
)
WHERE nth <= 60;

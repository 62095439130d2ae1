-- title.zh: 各品牌每十分钟成交额
-- title.en: GMV by brand, ten minutes at a time
-- unit: CNY
--
-- Each step once, when the watermark has passed it: what is told of it can move no more.
CREATE MATERIALIZED VIEW gmv_by_brand_and_step
WITH ('emit' = 'final', 'result.retention' = '1 d', 'state.groups' = '2000') AS
SELECT window_start, window_end, brand, CAST(SUM(gmv) AS DECIMAL(38, 2)) AS gmv
FROM TABLE(TUMBLE(TABLE paid, DESCRIPTOR(event_time), INTERVAL '10' MINUTE))
WHERE brand IS NOT NULL
GROUP BY window_start, window_end, brand;

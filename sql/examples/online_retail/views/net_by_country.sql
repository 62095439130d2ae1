-- title.zh: 各国净额
-- title.en: Net by country
-- unit: GBP
CREATE MATERIALIZED VIEW net_by_country
WITH ('result.retention' = '400 d') AS
SELECT country, SUM(gmv) AS gmv, COUNT(*) AS lines
FROM net
GROUP BY country;

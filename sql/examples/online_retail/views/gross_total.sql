-- title.zh: 累计毛额
-- title.en: Gross of all days
-- unit: GBP
CREATE MATERIALIZED VIEW gross_total AS
SELECT SUM(gmv) AS gmv, COUNT(*) AS lines
FROM gross;

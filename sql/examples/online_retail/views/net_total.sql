-- title.zh: 累计净额
-- title.en: Net of all days
-- unit: GBP
CREATE MATERIALIZED VIEW net_total AS
SELECT SUM(gmv) AS gmv, COUNT(*) AS lines
FROM net;

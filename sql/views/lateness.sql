-- title.zh: 迟到未计入每秒
-- title.en: Late for their second
-- unit: records
--
-- Of the figures of single seconds, whose windows close first; the day's total counts these records.
CREATE MATERIALIZED VIEW lateness AS
SELECT "view", SUM(accepted) AS accepted, SUM(late) AS late
FROM views_accounted
WHERE "view" = 'orders_per_second'
GROUP BY "view";

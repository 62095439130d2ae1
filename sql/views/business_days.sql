-- title.zh: 业务日
-- title.en: Days there are orders of
-- unit: days
--
-- Days by the zone's clock, and when the first order of each was. A row comes with a day's first order and changes only
-- where an earlier one comes later, so what is worked out for a day from it is worked out once.
CREATE MATERIALIZED VIEW business_days
WITH ('result.retention' = '31 d') AS
SELECT window_start, window_end, MIN(event_time) AS first_at
FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(event_time), INTERVAL '1' DAY))
GROUP BY window_start, window_end;

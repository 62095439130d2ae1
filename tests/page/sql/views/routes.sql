-- title.zh: 线路
-- title.en: Routes
-- unit: parcels
CREATE MATERIALIZED VIEW routes AS
SELECT window_start, window_end, home, away, COUNT(*) AS parcels
FROM TABLE(TUMBLE(TABLE parcels, DESCRIPTOR(sent_at), INTERVAL '1' DAY))
GROUP BY window_start, window_end, home, away;

-- title.zh: 今日包裹
-- title.en: Parcels today
-- unit: CNY
CREATE MATERIALIZED VIEW parcels_day AS
SELECT window_start, window_end, SUM(price) AS price, COUNT(*) AS parcels
FROM TABLE(TUMBLE(TABLE parcels, DESCRIPTOR(sent_at), INTERVAL '1' DAY))
GROUP BY window_start, window_end;

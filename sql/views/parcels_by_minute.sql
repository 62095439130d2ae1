-- title.zh: 每分钟包裹
-- title.en: Parcels per minute
-- unit: parcels
CREATE MATERIALIZED VIEW parcels_by_minute
WITH ('result.retention' = '1 d') AS
SELECT
  window_start,
  window_end,
  COUNT(*) FILTER (WHERE event_type = 'created') AS created,
  COUNT(*) FILTER (WHERE event_type = 'delivered') AS delivered
FROM TABLE(TUMBLE(TABLE parcels, DESCRIPTOR(event_time), INTERVAL '1' MINUTE))
GROUP BY window_start, window_end;

-- title.zh: 今日包裹
-- title.en: Parcels of the day
-- unit: parcels
--
-- Each event on its own day. on_time are deliveries within 24 hours of the parcel's making.
CREATE MATERIALIZED VIEW parcels_day
WITH ('result.retention' = '31 d') AS
SELECT
  window_start,
  window_end,
  COUNT(*) FILTER (WHERE event_type = 'created') AS created,
  COUNT(*) FILTER (WHERE event_type = 'collected') AS collected,
  COUNT(*) FILTER (WHERE event_type = 'delivered') AS delivered,
  COUNT(*) FILTER (
    WHERE event_type = 'delivered' AND CAST(event_time AS BIGINT) - CAST(created_at AS BIGINT) <= 86400000
  ) AS delivered_within_a_day,
  MIN(CASE WHEN event_type = 'delivered' THEN event_time END) AS first_delivered_at
FROM TABLE(TUMBLE(TABLE parcels, DESCRIPTOR(event_time), INTERVAL '1' DAY))
GROUP BY window_start, window_end;

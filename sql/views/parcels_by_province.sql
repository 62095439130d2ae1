-- title.zh: 各省在途包裹
-- title.en: Parcels on their way, by province
-- unit: parcels
--
-- waiting are those made up today and not yet collected, on_the_way those collected and not yet delivered:
-- today's events only, so on the days after a rush they are less than all there are.
CREATE MATERIALIZED VIEW parcels_by_province
WITH ('result.retention' = '31 d') AS
SELECT
  window_start,
  window_end,
  province,
  COUNT(*) FILTER (WHERE event_type = 'created') AS created,
  COUNT(*) FILTER (WHERE event_type = 'delivered') AS delivered,
  COUNT(*) FILTER (WHERE event_type = 'created') - COUNT(*) FILTER (WHERE event_type = 'collected') AS waiting,
  COUNT(*) FILTER (WHERE event_type = 'collected') - COUNT(*) FILTER (WHERE event_type = 'delivered') AS on_the_way
FROM TABLE(TUMBLE(TABLE parcels, DESCRIPTOR(event_time), INTERVAL '1' DAY))
GROUP BY window_start, window_end, province;

-- title.zh: 今日访问与加购
-- title.en: Visits, carts and favourites of the day
-- unit: events
CREATE MATERIALIZED VIEW behaviour_day
WITH ('result.retention' = '31 d') AS
SELECT
  window_start,
  window_end,
  COUNT(*) FILTER (WHERE event_type = 'visit') AS visits,
  COUNT(*) FILTER (WHERE event_type = 'cart') AS carts,
  COUNT(*) FILTER (WHERE event_type = 'favourite') AS favourites,
  APPROX_DISTINCT(visitor_id) AS visitors
FROM TABLE(TUMBLE(TABLE behaviour, DESCRIPTOR(event_time), INTERVAL '1' DAY))
GROUP BY window_start, window_end;

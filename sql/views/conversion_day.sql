-- title.zh: 今日各渠道转化率
-- title.en: Conversion of the day by channel
-- unit: orders
CREATE MATERIALIZED VIEW conversion_day
WITH ('result.retention' = '31 d', 'state.groups' = '100') AS
SELECT
  COALESCE(visited.window_start, ordered.window_start) AS window_start,
  COALESCE(visited.window_end, ordered.window_end) AS window_end,
  COALESCE(visited.channel, ordered.channel) AS channel,
  COALESCE(visited.visits, 0) AS visits,
  COALESCE(ordered.orders, 0) AS orders,
  CAST(CAST(COALESCE(ordered.orders, 0) AS DECIMAL(18, 4)) / visited.visits AS DECIMAL(9, 4)) AS orders_per_visit
FROM (
  SELECT window_start, window_end, channel, COUNT(*) AS visits
  FROM TABLE(TUMBLE(TABLE behaviour, DESCRIPTOR(event_time), INTERVAL '1' DAY))
  WHERE event_type = 'visit'
  GROUP BY window_start, window_end, channel
) AS visited
FULL JOIN (
  SELECT window_start, window_end, channel, COUNT(*) AS orders
  FROM TABLE(TUMBLE(TABLE placed, DESCRIPTOR(event_time), INTERVAL '1' DAY))
  GROUP BY window_start, window_end, channel
) AS ordered
ON visited.window_start = ordered.window_start
  AND visited.window_end = ordered.window_end
  AND visited.channel IS NOT DISTINCT FROM ordered.channel;

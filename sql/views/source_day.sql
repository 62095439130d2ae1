-- title.zh: 各来源到达情况（当日）
-- title.en: What came from each source, by day
-- unit: records
--
-- missing are the numbers of the source's own sequence between the first and the last of the day that have not
-- come, or came only in records that were rejected: it does not depend on the order in which they came. Copies
-- are told by event_id and are not counted twice.
CREATE MATERIALIZED VIEW source_day
WITH ('result.retention' = '31 d', 'state.groups' = '400') AS
SELECT
  window_start,
  window_end,
  source,
  COUNT(*) AS records,
  APPROX_PERCENTILE(lag_ms, 0.5) AS lag_ms_p50,
  APPROX_PERCENTILE(lag_ms, 0.99) AS lag_ms_p99,
  CAST(AVG(lag_ms) AS BIGINT) AS lag_ms_mean,
  MAX(lag_ms) AS lag_ms_max,
  MIN(source_seq) AS first_seq,
  MAX(source_seq) AS last_seq,
  MAX(source_seq) - MIN(source_seq) + 1 - COUNT(source_seq) AS missing
FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(event_time), INTERVAL '1' DAY))
GROUP BY window_start, window_end, source;

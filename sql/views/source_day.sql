-- title.zh: 各来源到达情况（当日）
-- title.en: What came from each source, by day
-- unit: records
--
-- Copies are told by event_id and are not counted twice. Gaps in the source's own sequence are no matter of a day,
-- nor of one result space: source_quality has them, from sequences_accounted.
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
  MAX(source_seq) AS last_seq
FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(event_time), INTERVAL '1' DAY))
GROUP BY window_start, window_end, source;

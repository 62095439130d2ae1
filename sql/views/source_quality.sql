-- title.zh: 数据质量记分卡（及时、完整、准确）
-- title.en: Data quality by source (timely, complete, accurate)
-- unit: share
--
-- Timely: the lag from event to arrival, and the share of records that came too late for a window. Complete:
-- missing are the numbers of the source's own sequence, from the first to the last there was, that have not come or
-- came only in records that were rejected; load tests take numbers of the same sequence, so theirs are not missing.
-- Accurate: the share of records that were rejected, and repeated, records with a number that another record had
-- (copies of one record are told by event_id and are none). Shares and gaps are of all records since the first, lag
-- of the newest day. NULL where a source has no numbers, or more gaps than 'sequence.ranges-max'.
CREATE MATERIALIZED VIEW source_quality AS
SELECT
  accounted.source,
  accounted.records,
  day.lag_ms_p50,
  day.lag_ms_p99,
  day.lag_ms_mean,
  day.lag_ms_max,
  numbers.missing,
  numbers.repeated,
  ROUND(CAST(accounted.rejected AS DECIMAL(20, 6)) / NULLIF(accounted.records, 0), 6) AS rejected_share,
  ROUND(CAST(accounted.late AS DECIMAL(20, 6)) / NULLIF(accounted.accepted, 0), 6) AS late_share
FROM (
  SELECT
    "value" AS source,
    SUM("read") AS records,
    SUM(accepted) AS accepted,
    SUM(rejected) AS rejected,
    SUM(late) AS late
  FROM sources_accounted
  WHERE stream = 'orders' AND "value" IS NOT NULL
  GROUP BY "value"
) AS accounted
LEFT JOIN (
  SELECT source, lag_ms_p50, lag_ms_p99, lag_ms_mean, lag_ms_max
  FROM source_day
  WHERE window_end = (SELECT MAX(window_end) FROM source_day)
) AS day ON day.source = accounted.source
LEFT JOIN (
  SELECT "value" AS source, missing, repeated
  FROM sequences_accounted
  WHERE stream = 'orders'
) AS numbers ON numbers.source = accounted.source;

-- title.zh: 数据质量记分卡（及时、完整）
-- title.en: Data quality by source (timely, complete)
-- unit: records
--
-- Of the newest day: the lag from event to arrival, and the numbers missing in the source's own sequence.
CREATE MATERIALIZED VIEW source_quality AS
SELECT source, records, lag_ms_p50, lag_ms_p99, lag_ms_mean, lag_ms_max, missing
FROM source_day
WHERE window_end = (SELECT MAX(window_end) FROM source_day);

-- question.zh: 各数据流现在新鲜到什么时候,水位落后多少?
-- question.en: How fresh is each stream, and how far is its watermark behind?
-- columns: stream, as_of, watermark, watermark_behind_ms, idle_partitions
SELECT
  stream,
  as_of,
  watermark,
  CAST(as_of AS BIGINT) - CAST(watermark AS BIGINT) AS watermark_behind_ms,
  idle_partitions
FROM current_streams
ORDER BY stream;

-- title.zh: 每秒成交额（按分钟）
-- title.en: GMV of each second, by minute
-- unit: CNY
--
-- The seconds of each minute that had payments: second_end is when each ends, running what the minute had come to by then
-- and minute_gmv what it came to in all. Each minute once, when the watermark has passed it. What is told later is not
-- in it: then minute_gmv is not what gmv_by_minute says.
CREATE MATERIALIZED VIEW gmv_by_second
WITH ('emit' = 'final', 'result.retention' = '26 h') AS
SELECT window_start, window_end, second_end, gmv,
  SUM(gmv) OVER (PARTITION BY window_start, window_end ORDER BY second_end) AS running,
  SUM(gmv) OVER (PARTITION BY window_start, window_end) AS minute_gmv
FROM (
  SELECT window_start, window_end, second_end, CAST(SUM(gmv) AS DECIMAL(38, 2)) AS gmv
  FROM (
    SELECT *, date_trunc('second', event_time) + INTERVAL '1' SECOND AS second_end
    FROM TABLE(TUMBLE(TABLE paid, DESCRIPTOR(event_time), INTERVAL '1' MINUTE))
  )
  GROUP BY window_start, window_end, second_end
);

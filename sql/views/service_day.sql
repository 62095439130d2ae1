-- title.zh: 今日客服
-- title.en: Service desk of the day
-- unit: cases
--
-- by_bot_share is the bot's part of the answers; resolved_share the part of today's cases that is resolved.
CREATE MATERIALIZED VIEW service_day
WITH ('result.retention' = '31 d') AS
SELECT
  window_start,
  window_end,
  asked,
  answered,
  resolved,
  asked - resolved AS open_cases,
  CAST(CAST(answered_by_bot AS DECIMAL(18, 4)) / NULLIF(answered, 0) AS DECIMAL(9, 4)) AS by_bot_share,
  CAST(CAST(resolved AS DECIMAL(18, 4)) / NULLIF(asked, 0) AS DECIMAL(9, 4)) AS resolved_share,
  agent_wait_ms_p50
FROM (
  SELECT
    window_start,
    window_end,
    COUNT(*) FILTER (WHERE event_type = 'asked') AS asked,
    COUNT(*) FILTER (WHERE event_type = 'answered') AS answered,
    COUNT(*) FILTER (WHERE event_type = 'answered' AND handled_by = 'bot') AS answered_by_bot,
    COUNT(*) FILTER (WHERE event_type = 'resolved') AS resolved,
    APPROX_PERCENTILE(CASE WHEN event_type = 'answered' AND handled_by = 'agent' THEN waited_ms END, 0.5)
      AS agent_wait_ms_p50
  FROM TABLE(TUMBLE(TABLE service, DESCRIPTOR(event_time), INTERVAL '1' DAY))
  GROUP BY window_start, window_end
);

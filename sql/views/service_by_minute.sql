-- title.zh: 每分钟咨询
-- title.en: Enquiries per minute
-- unit: cases
CREATE MATERIALIZED VIEW service_by_minute
WITH ('result.retention' = '2 d') AS
SELECT
  window_start,
  window_end,
  COUNT(*) FILTER (WHERE event_type = 'asked') AS asked,
  COUNT(*) FILTER (WHERE event_type = 'answered' AND handled_by = 'agent') AS answered_by_agents
FROM TABLE(TUMBLE(TABLE service, DESCRIPTOR(event_time), INTERVAL '1' MINUTE))
GROUP BY window_start, window_end;

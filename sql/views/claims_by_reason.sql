-- title.zh: 维权原因
-- title.en: Reasons of claims
-- unit: claims
CREATE MATERIALIZED VIEW claims_by_reason
WITH ('result.retention' = '31 d') AS
SELECT window_start, window_end, reason, COUNT(*) AS opened
FROM TABLE(TUMBLE(TABLE claims, DESCRIPTOR(event_time), INTERVAL '1' DAY))
WHERE event_type = 'opened'
GROUP BY window_start, window_end, reason;

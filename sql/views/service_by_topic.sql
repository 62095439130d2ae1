-- title.zh: 咨询主题
-- title.en: What enquiries are about
-- unit: cases
CREATE MATERIALIZED VIEW service_by_topic
WITH ('result.retention' = '31 d') AS
SELECT window_start, window_end, topic, COUNT(*) AS asked
FROM TABLE(TUMBLE(TABLE service, DESCRIPTOR(event_time), INTERVAL '1' DAY))
WHERE event_type = 'asked'
GROUP BY window_start, window_end, topic;

-- question.zh: 买家在问什么?
-- question.en: What do buyers ask about?
-- columns: topic, asked, share_percent
SELECT
  topic,
  SUM(asked) AS asked,
  CAST(100.0 * SUM(asked) / NULLIF(SUM(SUM(asked)) OVER (), 0) AS DECIMAL(7, 2)) AS share_percent
FROM service_by_topic
GROUP BY topic
ORDER BY asked DESC, topic;

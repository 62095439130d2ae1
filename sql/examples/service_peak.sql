-- question.zh: 客服最忙的是哪几分钟?
-- question.en: Which minutes load the service desk most?
-- columns: minute, asked, answered_by_agents
SELECT window_start AS minute, asked, answered_by_agents
FROM service_by_minute
ORDER BY asked DESC, minute
LIMIT 10;

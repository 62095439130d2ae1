-- question.zh: 客服今天接了多少,机器人答了多少,还有多少没解决?
-- question.en: What came to the service desk, what did the bot answer, what is still open?
-- columns: day, asked, answered, open_cases, by_bot_percent, resolved_percent
SELECT
  window_start AS day,
  asked,
  answered,
  open_cases,
  CAST(100 * by_bot_share AS DECIMAL(7, 2)) AS by_bot_percent,
  CAST(100 * resolved_share AS DECIMAL(7, 2)) AS resolved_percent
FROM service_day
ORDER BY day;

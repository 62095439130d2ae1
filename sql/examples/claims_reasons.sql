-- question.zh: 买家为什么维权?
-- question.en: Why do buyers open claims?
-- columns: reason, opened, share_percent
SELECT
  reason,
  SUM(opened) AS opened,
  CAST(100.0 * SUM(opened) / NULLIF(SUM(SUM(opened)) OVER (), 0) AS DECIMAL(7, 2)) AS share_percent
FROM claims_by_reason
GROUP BY reason
ORDER BY opened DESC, reason;

-- question.zh: 各渠道各占多少?
-- question.en: What share has each channel?
-- columns: day, channel, gmv_cny, payments, share_percent
SELECT
  window_start AS day,
  channel,
  gmv AS gmv_cny,
  payments,
  CAST(100 * gmv / NULLIF(SUM(gmv) OVER (PARTITION BY window_start), 0) AS DECIMAL(7, 2)) AS share_percent
FROM gmv_by_channel
ORDER BY day, gmv DESC, channel;

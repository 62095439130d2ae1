-- question.zh: 第二波比第一波,每天卖得多多少?
-- question.en: Wave against wave: what does each sell a day?
-- columns: campaign, wave, title_zh, gmv_cny, payments, days, gmv_a_day_cny
-- note: A wave of which no day was played has no figure.
SELECT
  campaign,
  wave,
  title_zh,
  gmv AS gmv_cny,
  payments,
  days,
  CAST(gmv / NULLIF(days, 0) AS DECIMAL(24, 2)) AS gmv_a_day_cny
FROM campaign_waves
ORDER BY campaign, wave;

-- question.zh: 跨境占成交多少,来自几个国家和地区?
-- question.en: What part of the day is cross-border, and from how many countries?
-- columns: day, cross_border_cny, payments, countries, share_percent
SELECT
  window_start AS day,
  gmv AS cross_border_cny,
  payments,
  countries,
  CAST(100 * share AS DECIMAL(7, 2)) AS share_percent
FROM cross_border_day
ORDER BY day;

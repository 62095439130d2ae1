-- title.zh: 活动波次
-- title.en: Waves of the campaign
-- unit: CNY
--
-- Each wave of the campaign that the newest day is nearest to, cumulated over its days: days says over how many. A
-- wave of which no day was played has no figure. campaign_gmv is the sum over all waves so far.
CREATE MATERIALIZED VIEW campaign_waves AS
SELECT
  waves.campaign,
  waves.wave,
  waves.title_zh,
  waves.title_en,
  waves.starts_at,
  waves.ends_at,
  SUM(days.gmv) AS gmv,
  SUM(days.payments) AS payments,
  COUNT(days.window_start) AS days
FROM campaigns AS waves
LEFT JOIN gmv_by_day AS days ON days.window_start >= waves.starts_at AND days.window_start < waves.ends_at
GROUP BY waves.campaign, waves.wave, waves.title_zh, waves.title_en, waves.starts_at, waves.ends_at;

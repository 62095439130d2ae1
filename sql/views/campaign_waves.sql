-- title.zh: 活动波次
-- title.en: Waves of the campaign
-- unit: CNY
--
-- Each wave of the campaign that the newest day is nearest to, cumulated over its days: days says over how many; of two
-- that are as near, both. Before the first order, the waves of all campaigns. A wave of which no day was played has no
-- figure. campaign_gmv is the sum over all waves of the campaign so far.
CREATE MATERIALIZED VIEW campaign_waves AS
SELECT *, SUM(gmv) OVER (PARTITION BY campaign) AS campaign_gmv
FROM (
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
  FROM (
    SELECT *, RANK() OVER (ORDER BY away) AS nth
    FROM (
      SELECT
        campaigns.*,
        CASE
          WHEN newest.day < spans.starts_at THEN CAST(spans.starts_at AS BIGINT) - CAST(newest.day AS BIGINT)
          WHEN newest.day >= spans.ends_at THEN CAST(newest.day AS BIGINT) - CAST(spans.ends_at AS BIGINT) + 1
          WHEN newest.day IS NOT NULL THEN 0
        END AS away
      FROM campaigns
      JOIN (
        SELECT campaign, MIN(starts_at) AS starts_at, MAX(ends_at) AS ends_at FROM campaigns GROUP BY campaign
      ) AS spans ON spans.campaign = campaigns.campaign
      CROSS JOIN (SELECT MAX(window_start) AS day FROM gmv_by_day) AS newest
    )
  ) AS waves
  LEFT JOIN gmv_by_day AS days ON days.window_start >= waves.starts_at AND days.window_start < waves.ends_at
  WHERE waves.nth = 1
  GROUP BY waves.campaign, waves.wave, waves.title_zh, waves.title_en, waves.starts_at, waves.ends_at
);

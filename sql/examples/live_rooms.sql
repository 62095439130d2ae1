-- question.zh: 直播间卖了多少,占全部渠道多少,每笔支付和其他渠道比如何?
-- question.en: What do live rooms sell, what share is it, and how do their payments compare in value?
-- columns: day, live_gmv_cny, live_payments, share_percent, live_payment_cny, other_payment_cny
SELECT
  window_start AS day,
  SUM(gmv) FILTER (WHERE channel = 'live') AS live_gmv_cny,
  SUM(payments) FILTER (WHERE channel = 'live') AS live_payments,
  CAST(100 * SUM(gmv) FILTER (WHERE channel = 'live') / NULLIF(SUM(gmv), 0) AS DECIMAL(7, 2)) AS share_percent,
  CAST(SUM(gmv) FILTER (WHERE channel = 'live')
    / NULLIF(SUM(payments) FILTER (WHERE channel = 'live'), 0) AS DECIMAL(18, 2)) AS live_payment_cny,
  CAST(SUM(gmv) FILTER (WHERE channel <> 'live')
    / NULLIF(SUM(payments) FILTER (WHERE channel <> 'live'), 0) AS DECIMAL(18, 2)) AS other_payment_cny
FROM gmv_by_channel
GROUP BY window_start
ORDER BY day;

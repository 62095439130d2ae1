-- question.zh: 直播间卖了多少,占全部渠道多少,客单价和其他渠道比如何?
-- question.en: What do live rooms sell, what share is it, and how do their orders compare in value?
-- columns: day, live_gmv_cny, live_orders, share_percent, live_order_value_cny, other_order_value_cny
SELECT
  window_start AS day,
  SUM(gmv) FILTER (WHERE channel = 'live') AS live_gmv_cny,
  SUM(orders) FILTER (WHERE channel = 'live') AS live_orders,
  CAST(100 * SUM(gmv) FILTER (WHERE channel = 'live') / NULLIF(SUM(gmv), 0) AS DECIMAL(7, 2)) AS share_percent,
  CAST(SUM(gmv) FILTER (WHERE channel = 'live')
    / NULLIF(SUM(orders) FILTER (WHERE channel = 'live'), 0) AS DECIMAL(18, 2)) AS live_order_value_cny,
  CAST(SUM(gmv) FILTER (WHERE channel <> 'live')
    / NULLIF(SUM(orders) FILTER (WHERE channel <> 'live'), 0) AS DECIMAL(18, 2)) AS other_order_value_cny
FROM gmv_by_channel
GROUP BY window_start
ORDER BY day;

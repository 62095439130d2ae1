-- question.zh: 按订单日算,每天的付款里最终留下多少?
-- question.en: By the day of the order: how much of its payments stays?
-- columns: day, net_cny
-- note: A refund of today lowers the day of its order, which is then a revision of that day.
SELECT window_start AS day, net_gmv AS net_cny
FROM net_gmv_order_day
ORDER BY day;

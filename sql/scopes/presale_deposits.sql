-- scope: presale_deposits@1
-- zh: 预售定金：按支付时间计入预售订单的定金，不论尾款是否支付。
-- en: Presale deposits: the deposit of a presale order at the time it is paid, whether or not its balance is.
CREATE VIEW presale_deposits AS
SELECT *, paid AS gmv
FROM order_flow
WHERE event_type = 'deposit' AND paid <> 0;

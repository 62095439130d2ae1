-- scope: presale_balances@1
-- zh: 预售尾款：按支付时间计入预售订单的尾款，不含定金。
-- en: Presale balances: the balance of a presale order at the time it is paid, without its deposit.
CREATE VIEW presale_balances AS
SELECT *, paid AS gmv
FROM order_flow
WHERE event_type = 'balance' AND paid <> 0;

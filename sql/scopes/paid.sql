-- scope: paid@1
-- zh: 支付金额：按支付时间计入全款、预售定金与尾款，不扣退款。
-- en: Payments: full payments, presale deposits and balances, each at the time it is paid; refunds are not taken off.
CREATE VIEW paid AS
SELECT *, amount AS gmv
FROM orders
WHERE event_type IN ('paid', 'deposit', 'balance');

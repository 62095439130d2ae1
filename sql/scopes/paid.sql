-- scope: paid@3
-- zh: 支付金额，折人民币（同 in_yuan）：按支付时间计入全款、预售定金与尾款，不扣退款。
-- en: Payments in yuan (as in_yuan): full payments, presale deposits and balances, each at the time it is paid; refunds are not taken off.
CREATE VIEW paid AS
SELECT *, yuan AS gmv
FROM in_yuan
WHERE event_type IN ('paid', 'deposit', 'balance');

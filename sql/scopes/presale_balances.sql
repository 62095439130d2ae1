-- scope: presale_balances@3
-- zh: 预售尾款（折人民币，同 flow_in_yuan）：按支付时间计入预售订单的尾款，不含定金。
-- en: Presale balances, in yuan (as flow_in_yuan): the balance of a presale order at the time it is paid, without its deposit.
CREATE VIEW presale_balances AS
SELECT *, paid AS gmv
FROM flow_in_yuan
WHERE event_type = 'balance' AND (paid IS DISTINCT FROM 0);

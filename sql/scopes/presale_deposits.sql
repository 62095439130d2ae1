-- scope: presale_deposits@3
-- zh: 预售定金（折人民币，同 flow_in_yuan）：按支付时间计入预售订单的定金，不论尾款是否支付。
-- en: Presale deposits, in yuan (as flow_in_yuan): the deposit of a presale order at the time it is paid, whether or not its balance is.
CREATE VIEW presale_deposits AS
SELECT *, paid AS gmv
FROM flow_in_yuan
WHERE event_type = 'deposit' AND (paid IS DISTINCT FROM 0);

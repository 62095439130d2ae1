-- scope: placed@3
-- zh: 下单金额，折人民币（同 in_yuan）：按下单时间计入全部下单金额，不论是否付款、取消或退款。
-- en: Orders placed, in yuan (as in_yuan): the amount of every order at the time it is placed, whether or not it is paid, cancelled or refunded.
CREATE VIEW placed AS
SELECT *, yuan AS gmv
FROM in_yuan
WHERE event_type = 'placed';

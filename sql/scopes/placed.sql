-- scope: placed@1
-- zh: 下单金额：按下单时间计入全部下单金额，不论是否付款、取消或退款。
-- en: Orders placed: the amount of every order at the time it is placed, whether or not it is paid, cancelled or refunded.
CREATE VIEW placed AS
SELECT *, amount AS gmv
FROM orders
WHERE event_type = 'placed';

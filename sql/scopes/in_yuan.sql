-- scope: in_yuan@2
-- zh: 每条订单事件的金额折人民币（yuan）：未注明币种的为人民币；外币按 2020-11-10 及以前公布的 2020-11-11 汇率折算，每笔四舍五入到分，因此各省、各类目之和恰为总额；之后公布的汇率不影响本口径；没有汇率的币种没有金额，单独计数。
-- en: The amount of each event of an order in yuan. What names no currency is in yuan; other currencies at the rate for 2020-11-11 as published by 2020-11-10, each amount rounded to the fen by itself, half away from zero, so that the provinces add up to the total. A rate published later does not touch this scope. What is in a currency without a rate has no amount here and is counted by itself.
CREATE VIEW in_yuan AS
SELECT
  orders.*,
  CAST(orders.amount * pinned.cny_per_unit AS DECIMAL(38, 2)) AS yuan
FROM orders
LEFT JOIN pinned_rates AS pinned ON pinned.currency = COALESCE(orders.currency, 'CNY');

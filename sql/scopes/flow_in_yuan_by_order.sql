-- scope: flow_in_yuan_by_order@3
-- zh: 订单生命周期的各项金额折人民币（按订单日）：一个订单只有一个币种，其他币种的金额不计入（见 unmatched）；未注明币种的为人民币；外币按 2020-11-10 及以前公布的 2020-11-11 汇率折算，每一项四舍五入到分（分次退款各自舍入，每次可有一分之差）；之后公布的汇率不影响本口径；没有汇率的币种没有金额，单独计数。
-- en: What the events of an order amount to, in yuan, by order day. An order is in one currency, and money in another is refused (unmatched). What names no currency is in yuan; other currencies at the rate for 2020-11-11 as published by 2020-11-10, each amount rounded to the fen by itself, half away from zero, so that breakdowns add up to their total; what is given back in several parts may differ from what was paid by a fen a part. A rate published later does not touch this scope. What is in a currency without a rate has no amount here and is counted by itself.
CREATE VIEW flow_in_yuan_by_order AS
SELECT
  order_flow_by_order.* EXCEPT (placed, cancelled, paid, refunded, net, excess),
  CAST(order_flow_by_order.placed * pinned.cny_per_unit AS DECIMAL(38, 2)) AS placed,
  CAST(order_flow_by_order.cancelled * pinned.cny_per_unit AS DECIMAL(38, 2)) AS cancelled,
  CAST(order_flow_by_order.paid * pinned.cny_per_unit AS DECIMAL(38, 2)) AS paid,
  CAST(order_flow_by_order.refunded * pinned.cny_per_unit AS DECIMAL(38, 2)) AS refunded,
  CAST(order_flow_by_order.net * pinned.cny_per_unit AS DECIMAL(38, 2)) AS net,
  CAST(order_flow_by_order.excess * pinned.cny_per_unit AS DECIMAL(38, 2)) AS excess
FROM order_flow_by_order
LEFT JOIN pinned_rates AS pinned ON pinned.currency = COALESCE(order_flow_by_order.currency, 'CNY');

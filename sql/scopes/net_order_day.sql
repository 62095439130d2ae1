-- scope: net_order_day@1
-- zh: 净支付金额（按订单日）：已支付金额减去退款，支付与退款都计入订单自身的日期，订单日因此会被修订。
-- en: Net payments by order day: payments less refunds, both on the day of the order itself, which they revise.
CREATE VIEW net_order_day AS
SELECT *, net AS gmv
FROM order_flow_by_order
WHERE paid <> 0 OR refunded <> 0;

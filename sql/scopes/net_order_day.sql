-- scope: net_order_day@4
-- zh: 净支付金额（按订单日，折人民币，同 flow_in_yuan_by_order）：已支付金额减去退款，支付与退款都计入订单自身的日期，订单日因此会被修订。
-- en: Net payments by order day, in yuan (as flow_in_yuan_by_order): payments less refunds, both on the day of the order itself, which they revise.
CREATE VIEW net_order_day AS
SELECT *, net AS gmv
FROM flow_in_yuan_by_order
WHERE (paid IS DISTINCT FROM 0) OR (refunded IS DISTINCT FROM 0);

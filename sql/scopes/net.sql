-- scope: net@5
-- zh: 净支付金额（折人民币，同 flow_in_yuan）：已支付金额减去退款，退款按退款时间扣减，且不超过该订单已支付金额；重复通知只计一次。
-- en: Net payments, in yuan (as flow_in_yuan): payments less refunds, a refund taken off at the time of the refund and never more than its order has paid; what is told twice counts once.
CREATE VIEW net AS
SELECT *, net AS gmv
FROM flow_in_yuan
WHERE (paid IS DISTINCT FROM 0) OR (refunded IS DISTINCT FROM 0);

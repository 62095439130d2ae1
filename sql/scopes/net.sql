-- scope: net@1
-- zh: 净支付金额：支付金额减去退款，退款按退款时间扣减。
-- en: Net payments: payments less refunds, a refund taken off at the time of the refund.
CREATE VIEW net AS
SELECT *, CASE WHEN event_type = 'refunded' THEN -amount ELSE amount END AS gmv
FROM orders
WHERE event_type IN ('paid', 'deposit', 'balance', 'refunded');

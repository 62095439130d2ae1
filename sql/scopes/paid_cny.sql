-- scope: paid_cny@1
-- zh: 支付金额折人民币：范围同 paid；外币按 2020-11-10 及以前公布的 2020-11-11 汇率折算，逐单不舍入；之后公布的汇率不影响本口径；没有汇率的币种不计入金额，单独计数。
-- en: Payments in yuan: what paid counts; other currencies at the rate for 2020-11-11 as published by 2020-11-10, no order rounded by itself. A rate published later does not touch this scope. An order in a currency without a rate has no amount here and is counted by itself.
CREATE VIEW paid_cny AS
SELECT
  orders.*,
  pinned.cny_per_unit,
  orders.amount * pinned.cny_per_unit AS gmv
FROM orders
LEFT JOIN (
  SELECT currency, cny_per_unit
  FROM (
    SELECT
      currency,
      cny_per_unit,
      ROW_NUMBER() OVER (PARTITION BY currency ORDER BY published_on DESC, cny_per_unit DESC) AS newest
    FROM fx_rates
    WHERE rate_date = DATE '2020-11-11' AND published_on <= DATE '2020-11-10'
  )
  WHERE newest = 1
) AS pinned ON pinned.currency = orders.currency
WHERE orders.event_type IN ('paid', 'deposit', 'balance');

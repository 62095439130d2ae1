-- question.zh: 各币种各卖多少,折合人民币多少?
-- question.en: What is sold in each currency, and what is it in yuan?
-- columns: currency, amount, gmv_cny, payments, payments_without_gmv
SELECT
  currency,
  SUM(amount) AS amount,
  SUM(gmv) AS gmv_cny,
  SUM(payments) AS payments,
  SUM(payments_without_gmv) AS payments_without_gmv
FROM gmv_by_currency
GROUP BY currency
ORDER BY gmv_cny DESC NULLS LAST, currency;

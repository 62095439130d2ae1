-- title.zh: 各币种成交额
-- title.en: GMV by currency
-- unit: CNY
--
-- Each currency in itself (amount) and in yuan (gmv). Each amount in yuan is rounded to the fen by itself (scope in_yuan), so the sum is exact, to the
-- fen. A currency without a pinned rate does not disappear: its gmv is empty, and all its payments
-- are payments_without_gmv, as are those that tell no amount.
CREATE MATERIALIZED VIEW gmv_by_currency
WITH ('result.retention' = '31 d', 'state.groups' = '200') AS
SELECT
  window_start,
  window_end,
  currency,
  SUM(amount) AS amount,
  CAST(SUM(gmv) AS DECIMAL(38, 2)) AS gmv,
  COUNT(*) AS payments,
  COUNT(*) FILTER (WHERE gmv IS NULL) AS payments_without_gmv
FROM TABLE(TUMBLE(TABLE paid, DESCRIPTOR(event_time), INTERVAL '1' DAY))
GROUP BY window_start, window_end, currency;

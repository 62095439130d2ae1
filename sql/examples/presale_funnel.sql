-- question.zh: 预售从定金到尾款,付了尾款的有多少?
-- question.en: Presales from deposit to balance: how many have paid their balance?
-- columns: day, deposits, deposits_cny, balances, balances_cny, balances_per_100_deposits
SELECT
  deposits.window_start AS day,
  deposits.orders AS deposits,
  deposits.gmv AS deposits_cny,
  COALESCE(balances.payments, 0) AS balances,
  COALESCE(balances.gmv, 0) AS balances_cny,
  CAST(100.0 * COALESCE(balances.payments, 0) / NULLIF(deposits.orders, 0) AS DECIMAL(7, 2)) AS balances_per_100_deposits
FROM presale_deposits_day AS deposits
LEFT JOIN presale_balances_day AS balances ON balances.window_start = deposits.window_start
ORDER BY day;

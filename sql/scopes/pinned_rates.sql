-- scope: pinned_rates@1
-- zh: 折算汇率：2020-11-11 的汇率，取 2020-11-10 及以前最后公布的一个；之后公布的不影响。
-- en: The rates amounts are turned into yuan at: those for 2020-11-11, the last published by 2020-11-10. One published later changes nothing.
CREATE VIEW pinned_rates AS
SELECT currency, cny_per_unit
FROM (
  SELECT
    currency,
    cny_per_unit,
    ROW_NUMBER() OVER (PARTITION BY currency ORDER BY published_on DESC, cny_per_unit DESC) AS newest
  FROM fx_rates
  WHERE rate_date = DATE '2020-11-11' AND published_on <= DATE '2020-11-10'
)
WHERE newest = 1;

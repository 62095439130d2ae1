-- scope: net@1
-- zh: 净额：全部明细行，退货单以负数计入。
-- en: Net: every line, cancellations with their negative amounts.
CREATE VIEW net AS
SELECT *, amount_gbp AS gmv
FROM retail;

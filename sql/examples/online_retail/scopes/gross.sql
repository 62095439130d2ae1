-- scope: gross@1
-- zh: 毛额：不含退货单（编号以 C 开头）的明细行。
-- en: Gross: lines of invoices that are not cancellations, whose numbers begin with C.
CREATE VIEW gross AS
SELECT *, amount_gbp AS gmv
FROM retail
WHERE invoice NOT LIKE 'C%';

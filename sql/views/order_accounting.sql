-- title.zh: 订单事件核对
-- title.en: Order event accounting
-- unit: events
CREATE MATERIALIZED VIEW order_accounting AS
SELECT
  stream,
  SUM(taken) AS taken,
  SUM(applied) AS applied,
  SUM(capped) AS capped,
  SUM(repeated) AS repeated,
  SUM(waiting) AS waiting,
  SUM(expired) AS expired,
  SUM(refused) AS refused,
  SUM(ignored) AS ignored
FROM lifecycle_accounted
GROUP BY stream;

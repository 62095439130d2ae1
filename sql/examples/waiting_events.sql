-- question.zh: 有多少付款、退款还在等它的订单?
-- question.en: How many payments, refunds and cancellations wait for their order?
-- columns: kind, events, since
-- note: No rows are good news.
SELECT kind, COUNT(*) AS events, MIN(event_time) AS since
FROM unmatched
GROUP BY kind
ORDER BY events DESC, kind;

-- question.zh: 每天付款的买家里,多少是第一次来,多少是以前来过的?
-- question.en: How many of a day's paying buyers pay for the first time, and how many have paid on a day before?
-- columns: day, buyers, new_buyers, returning_buyers
-- note: asked of every order that is kept; a buyer is a hash there, and who paid before the first of them is new
SELECT
  paid.day,
  COUNT(*) AS buyers,
  COUNT(*) FILTER (WHERE paid.day = first_paid.day) AS new_buyers,
  COUNT(*) FILTER (WHERE paid.day > first_paid.day) AS returning_buyers
FROM (
  SELECT DISTINCT event_date AS day, buyer_id
  FROM orders
  WHERE event_type IN ('paid', 'deposit', 'balance')
) AS paid
JOIN (
  SELECT buyer_id, MIN(event_date) AS day
  FROM orders
  WHERE event_type IN ('paid', 'deposit', 'balance')
  GROUP BY buyer_id
) AS first_paid ON first_paid.buyer_id = paid.buyer_id
GROUP BY paid.day
ORDER BY paid.day;

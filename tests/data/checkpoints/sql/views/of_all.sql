CREATE MATERIALIZED VIEW of_all AS
SELECT COUNT(*) AS events, SUM(amount) AS amount, MAX(event_time) AS newest FROM orders;

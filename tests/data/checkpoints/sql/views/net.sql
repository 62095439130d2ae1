CREATE MATERIALIZED VIEW net AS
SELECT province, SUM(net) AS net, SUM(paid) AS paid, SUM(excess) AS excess FROM order_flow GROUP BY province;

-- The same rows dated by the order's own time, so that a refund falls on the day of its order.
CREATE TABLE order_flow_by_order (
  WATERMARK FOR order_time AS SOURCE_WATERMARK()
) LIKE order_flow (OVERWRITING WATERMARKS);

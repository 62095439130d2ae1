-- question.zh: 每条记录都有去向吗?品类、渠道、省份加起来是同一个数吗?
-- question.en: Is every record accounted for, and do the categories, channels and provinces add up to one figure?
-- columns: stream, read, unexplained, category_less_channel_cny, province_less_channel_cny
SELECT
  accounting.stream,
  accounting."read",
  accounting."read" - accounting.accepted - accounting.duplicate - accounting.rejected
    - accounting.shadow - accounting.control AS unexplained,
  (SELECT SUM(gmv) FROM gmv_by_category) - (SELECT SUM(gmv) FROM gmv_by_channel) AS category_less_channel_cny,
  (SELECT SUM(gmv) FROM gmv_by_province) - (SELECT SUM(gmv) FROM gmv_by_channel) AS province_less_channel_cny
FROM record_accounting AS accounting;

-- question.zh: 货主要从哪里发往哪里?
-- question.en: From where to where do most goods go?
-- columns: seller_city, province, gmv_cny, payments
-- note: Of the sixty largest of the day.
SELECT seller_city, province, gmv AS gmv_cny, payments
FROM flows_by_city
WHERE window_start = (SELECT MAX(window_start) FROM flows_by_city)
ORDER BY gmv DESC, seller_city, province
LIMIT 20;

-- Another business than the shipped one: parcels on their way, with both ends.
CREATE TABLE parcels (
  id STRING NOT NULL,
  sent_at TIMESTAMP(3) NOT NULL,
  shop STRING,
  home STRING,
  away STRING,
  price DECIMAL(18, 2),
  WATERMARK FOR sent_at AS sent_at - INTERVAL '1' SECOND
) WITH (
  'connector' = 'embedded',
  'partitions' = '1',
  'format' = 'json',
  'time-zone' = 'Asia/Shanghai',
  'dedup.key' = 'id',
  'dedup.horizon' = '1 h',
  'partition.key' = 'id'
);

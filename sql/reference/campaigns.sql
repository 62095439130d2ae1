-- The campaign calendar: waves with their beginning and end (not in it), whole days by the zone's clock.
CREATE TABLE campaigns (
  campaign STRING NOT NULL,
  wave INT NOT NULL,
  title_zh STRING NOT NULL,
  title_en STRING NOT NULL,
  starts_at TIMESTAMP(3) NOT NULL,
  ends_at TIMESTAMP(3) NOT NULL
) WITH ('connector' = 'filesystem', 'path' = 'campaigns.csv', 'format' = 'csv', 'csv.header' = 'true');

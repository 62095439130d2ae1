-- Yuan for one unit of a currency. The rates are illustrative samples, not those of any bank; put your
-- treasury's in their place. A row says for which day a rate holds and on which day it was published: a
-- correction is another row with a later published_on, and the row it corrects stays.
CREATE TABLE fx_rates (
  currency STRING NOT NULL,
  rate_date DATE NOT NULL,
  published_on DATE NOT NULL,
  cny_per_unit DECIMAL(18, 8) NOT NULL
) WITH ('connector' = 'filesystem', 'path' = 'fx_rates.csv', 'format' = 'csv', 'csv.header' = 'true');

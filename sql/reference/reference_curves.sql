-- Curves that a day may be compared with: what each counts, over which window, and where it is from.
--
-- A curve is used only where scope and window_seconds are those of the figure it stands beside, and on the same day of
-- its campaign: day_of_wave counts from 1 within the wave of the calendar in campaigns, so that the first day of a
-- wave stands beside the first of the same one and no evening before. basis is one of recorded, generated, interpolated
-- (drawn between a few published marks). target_growth says what this year is meant to be above it. The running totals
-- are in reference_points.
CREATE TABLE reference_curves (
  curve STRING NOT NULL,
  scope STRING NOT NULL,
  window_seconds BIGINT NOT NULL,
  wave INT NOT NULL,
  day_of_wave INT NOT NULL,
  basis STRING NOT NULL,
  label_zh STRING NOT NULL,
  label_en STRING NOT NULL,
  target_growth DECIMAL(9, 4)
) WITH ('connector' = 'filesystem', 'path' = 'reference_curves.csv', 'format' = 'csv', 'csv.header' = 'true');

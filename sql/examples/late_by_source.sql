-- question.zh: 哪些来源(门店、网关)迟到或被拒的记录最多?
-- question.en: Which sources (tills, gateways) send most that is late, rejected or missing?
-- columns: source, records, late_percent, rejected_percent, missing
-- note: Late means left out of at least one window of a view.
SELECT
  source,
  records,
  CAST(100 * late_share AS DECIMAL(9, 4)) AS late_percent,
  CAST(100 * rejected_share AS DECIMAL(9, 4)) AS rejected_percent,
  missing
FROM source_quality
ORDER BY late_share DESC NULLS LAST, missing DESC NULLS LAST, source;

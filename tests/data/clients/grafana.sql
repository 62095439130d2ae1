-- What Grafana's PostgreSQL source asks when it is set up and when a panel is edited; in our own words after
-- public/app/plugins/datasource/grafana-postgresql-datasource/postgresMetaQuery.ts of grafana/grafana.
-- `-- has: TEXT` is a cell of the answer of the statement below it, `-- rows: N` how many rows it has.

-- has: 1600
SELECT current_setting('server_version_num')::int/100 AS version;

-- rows: 0
SELECT extversion FROM pg_extension WHERE extname = 'timescaledb';

-- has: public
SELECT schema_name AS "name" FROM information_schema.schemata
WHERE schema_name NOT IN ('information_schema', 'pg_catalog', 'pg_toast')
ORDER BY schema_name;

-- has: gmv_by_category
SELECT quote_ident(table_name) AS "table" FROM information_schema.tables
WHERE quote_ident(table_schema) = 'public'
ORDER BY 1;

-- has: numeric
SELECT quote_ident(column_name) AS "column", data_type AS "type" FROM information_schema.columns
WHERE quote_ident(table_schema) = 'public' AND quote_ident(table_name) = 'gmv_by_category';

-- has: timestamp with time zone
SELECT data_type FROM information_schema.columns WHERE table_name = 'gmv_by_minute' AND column_name = 'window_start';

-- has: 1
SELECT 1;

-- has: gmv_by_category
SELECT CASE WHEN quote_ident(table_schema) IN ('public') THEN quote_ident(table_name)
    ELSE quote_ident(table_schema) || '.' || quote_ident(table_name) END AS "table"
FROM information_schema.tables
WHERE quote_ident(table_schema) NOT IN ('information_schema', 'pg_catalog', '_timescaledb_cache', '_timescaledb_catalog')
ORDER BY CASE WHEN quote_ident(table_schema) IN ('public') THEN 0 ELSE 1 END, 1;

-- has: 150.00
SELECT floor(extract(epoch from window_start) / 60) * 60 AS "time", CAST(150 AS DECIMAL(18, 2)) AS gmv
FROM gmv_by_minute
WHERE window_start BETWEEN '2020-11-10T16:00:00Z' AND '2020-11-11T16:00:00Z'
GROUP BY 1 ORDER BY 1 LIMIT 1;

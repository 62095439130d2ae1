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

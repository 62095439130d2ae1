-- What Grafana's PostgreSQL source asks when it is set up and when a panel is edited; in our own words after
-- public/app/plugins/datasource/grafana-postgresql-datasource/postgresMetaQuery.ts of grafana/grafana.
-- `-- has: TEXT` is a cell of the answer of the statement below it, `-- like: PATTERN` what a whole cell is like, `-- rows: N` how
-- many rows it has, `-- nothing:` that it answers without rows; OID_OF_PUBLIC is what it says. The statements of these files are
-- ours and have in them what those of the tools have. The tools' own, under licences of their own, may be had from their sources
-- and be asked as well: TIDEMARK_QUESTIONS names a folder of such files.

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

-- not yet: string_to_array is not read in FROM, nor is the search path taken apart
-- Which schemas are on the search path is found by taking its text apart, within the query.
-- rows: 1
-- has: public
SELECT replace(trim(words[nth]), '"$user"', user) AS word
FROM generate_series(array_lower(string_to_array(current_setting('search_path'), ','), 1),
        array_upper(string_to_array(current_setting('search_path'), ','), 1)) AS nth,
    string_to_array(current_setting('search_path'), ',') AS words
WHERE trim(words[nth]) = 'public';

-- not yet: string_to_array is not read in FROM, nor is the search path taken apart
-- has: gmv_by_category
-- has: shadow.gmv_by_category
SELECT CASE WHEN quote_ident(t.table_schema) IN (
        SELECT trim(words[nth])
        FROM generate_series(1, array_upper(string_to_array(current_setting('search_path'), ','), 1)) AS nth,
            string_to_array(current_setting('search_path'), ',') AS words)
    THEN quote_ident(t.table_name) ELSE quote_ident(t.table_schema) || '.' || quote_ident(t.table_name) END AS name
FROM information_schema.tables AS t
WHERE t.table_schema <> 'pg_catalog'
ORDER BY 1;

-- A name with a schema before it, or without.
-- has: gmv
-- has: numeric
-- has: timestamp with time zone
SELECT quote_ident(c.column_name) AS name, c.data_type
FROM information_schema.columns AS c
WHERE CASE WHEN array_length(parse_ident('public.gmv_by_category'), 1) = 2
    THEN quote_ident(c.table_schema) = (parse_ident('public.gmv_by_category'))[1]
        AND quote_ident(c.table_name) = (parse_ident('public.gmv_by_category'))[2]
    ELSE quote_ident(c.table_name) = 'gmv_by_category' END;

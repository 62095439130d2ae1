-- What Metabase asks when it reads a database's tables and columns; in our own words after
-- src/metabase/driver/postgres.clj of metabase/metabase, which follows pgjdbc's getColumns.

-- has: UTC
SHOW timezone;

-- has: gmv_by_category
SELECT n.nspname AS schema, c.relname AS name, c.relkind AS kind, d.description
FROM pg_catalog.pg_class c
INNER JOIN pg_catalog.pg_namespace n ON c.relnamespace = n.oid
LEFT JOIN pg_catalog.pg_description d ON c.oid = d.objoid AND d.objsubid = 0
WHERE c.relnamespace = n.oid AND n.nspname = 'public' AND c.relkind IN ('r', 'p', 'v', 'f', 'm')
ORDER BY n.nspname, c.relname;

-- has: timestamptz
SELECT c.column_name AS name, c.udt_name AS database_type, c.ordinal_position - 1 AS position,
    c.table_schema, c.table_name, c.is_nullable = 'NO' AS required
FROM information_schema.columns c
WHERE c.table_schema = 'public' AND c.table_name = 'gmv_by_category'
ORDER BY c.table_schema, c.table_name, c.ordinal_position;

-- rows: 0
SELECT tc.table_schema, tc.table_name, kc.column_name
FROM information_schema.table_constraints tc
INNER JOIN information_schema.key_column_usage kc ON tc.constraint_name = kc.constraint_name
WHERE tc.constraint_type = 'PRIMARY KEY';

-- rows: 0
SELECT t.typname, e.enumlabel FROM pg_catalog.pg_type t INNER JOIN pg_catalog.pg_enum e ON t.oid = e.enumtypid;

-- has: gmv_by_category
SELECT t.table_schema, t.table_name, has_table_privilege('"' || t.table_schema || '"."' || t.table_name || '"', 'SELECT') AS may_select
FROM information_schema.tables t
WHERE t.table_schema = 'public';

-- rows: 1
SELECT date_trunc('day', CAST(MAX(window_start) AS timestamp)) AS day, COUNT(*) AS n FROM gmv_by_minute;

-- What Metabase asks when it reads a database's tables and columns; in our own words after
-- src/metabase/driver/postgres.clj of metabase/metabase, which follows pgjdbc's getColumns.

-- has: Asia/Shanghai
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

-- not yet: there is no table_constraints within a query
-- Keys are looked for beside the columns.
-- has: gmv
-- has: End of the window, by the clock of Asia/Shanghai
SELECT col.column_name, keyed.column_name IS NOT NULL AS is_key,
    col_description(CAST(CAST(format('%I.%I', CAST(col.table_schema AS TEXT), CAST(col.table_name AS TEXT)) AS REGCLASS) AS OID),
        col.ordinal_position) AS remark
FROM "information_schema"."columns" AS col
LEFT JOIN (
    SELECT found.table_name, used.column_name
    FROM "information_schema"."table_constraints" AS found
    INNER JOIN "information_schema"."key_column_usage" AS used ON used.constraint_name = found.constraint_name
    WHERE found.constraint_type = 'PRIMARY KEY'
) AS keyed ON keyed.table_name = col.table_name AND keyed.column_name = col.column_name
WHERE col.table_schema IN ('public')
UNION ALL
SELECT a.attname, FALSE, NULL FROM pg_catalog.pg_class AS c INNER JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid
WHERE c.relkind = 'm' AND a.attnum >= 1;

-- not yet: UPDATE, INSERT and DELETE are said to be allowed
-- What may be done with a table: it may be read, and nothing can be written here.
-- has: gmv_by_category
-- has: true/false/false/false
SELECT named.tablename, pg_catalog.has_any_column_privilege(current_user, 'public.' || named.tablename, 'select') || '/'
    || pg_catalog.has_any_column_privilege(current_user, 'public.' || named.tablename, 'update') || '/'
    || pg_catalog.has_any_column_privilege(current_user, 'public.' || named.tablename, 'insert') || '/'
    || pg_catalog.has_table_privilege(current_user, 'public.' || named.tablename, 'delete') AS may
FROM pg_catalog.pg_tables AS named
WHERE named.tablename = 'gmv_by_category' AND named.schemaname = 'public';

-- nothing:
SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ UNCOMMITTED;

-- not yet: it says read_committed
-- like: read .*
SHOW TRANSACTION ISOLATION LEVEL;

-- What Superset, Tableau, Power BI, asyncpg and Npgsql ask, in our own words after their sources and manuals.

-- has: public
SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname NOT LIKE 'pg\_%' ORDER BY nspname;

-- has: tidemark
SELECT datname FROM pg_database WHERE NOT datistemplate;

-- rows: 0
SELECT c.relname FROM pg_class c WHERE c.relkind = 'm';

-- has: gmv_by_category
SELECT table_catalog, table_schema, table_name, table_type FROM information_schema.tables
WHERE table_schema NOT IN ('information_schema', 'pg_catalog');

-- has: numeric
SELECT n.nspname, t.oid, t.typname, t.typtype, t.typnotnull, t.typelem
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE t.typtype IN ('b', 'r', 'm', 'e', 'd') OR t.typtype = 'c' AND EXISTS (SELECT 1 FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind = 'c')
ORDER BY t.oid;

-- rows: 0
SELECT e.oid, e.enumlabel FROM pg_enum e JOIN pg_type t ON t.oid = e.enumtypid ORDER BY e.oid, e.enumsortorder;

-- has: numeric
SELECT t.oid, t.typname AS name, t.typtype::text AS kind, t.typelem AS elemtype, ARRAY(SELECT a.attname FROM pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 ORDER BY a.attnum) AS names
FROM pg_type t WHERE t.oid = 1700;

-- has: 16.6
SELECT current_setting('server_version'), current_setting('server_encoding'), pg_client_encoding();

-- has: false
SELECT pg_is_in_recovery()::text, current_database(), current_user, inet_server_addr();

-- has: 160006
SHOW server_version_num;

-- rows: 1
SELECT current_role AS role_name, session_user AS user_name;

-- rows: 0
WITH keys AS (SELECT con.conname, unnest(con.conkey) AS number FROM pg_catalog.pg_constraint con WHERE con.contype = 'p'),
named AS (SELECT keys.conname, array_agg(a.attname ORDER BY number) AS names FROM keys JOIN pg_catalog.pg_attribute a ON a.attnum = keys.number GROUP BY 1)
SELECT conname, names FROM named UNION ALL SELECT conname, NULL FROM keys;

-- not yet: typreceive is no number of a function
-- Npgsql, and Power BI by it: arrays are known by the function that receives them.
-- has: numeric
-- has: numeric_recv
-- has: _numeric
-- has: array_recv
SELECT t.typname, p.proname, CASE WHEN p.proname = 'array_recv' THEN e.typname END AS of
FROM pg_type AS t LEFT JOIN pg_proc AS p ON p.oid = t.typreceive LEFT JOIN pg_type AS e ON e.oid = t.typelem
WHERE t.typname IN ('numeric', '_numeric');

-- not yet: typreceive is no number of a function
-- has: _numeric
SELECT outermost.typname, outermost.element FROM (
    SELECT inner_type.typname, inner_type.kind, element.oid AS element FROM (
        SELECT t.typname, CASE WHEN p.proname = 'array_recv' THEN 'a' ELSE t.typtype END AS kind,
            CASE WHEN p.proname = 'array_recv' THEN t.typelem WHEN t.typtype = 'r' THEN r.rngsubtype
                WHEN t.typtype = 'm' THEN (SELECT m.rngtypid FROM pg_range AS m WHERE m.rngmultitypid = t.oid)
                WHEN t.typtype = 'd' THEN t.typbasetype END AS of
        FROM pg_type AS t LEFT JOIN pg_proc AS p ON p.oid = t.typreceive LEFT JOIN pg_range AS r ON r.rngtypid = t.oid
    ) AS inner_type LEFT JOIN pg_type AS element ON element.oid = of
) AS outermost WHERE kind = 'a' ORDER BY CASE WHEN kind IN ('b', 'e', 'p') THEN 0 WHEN kind = 'a' THEN 5 END;

-- rows: 0
SELECT to_key.column_name, from_key.table_schema, rules.constraint_name
FROM (SELECT DISTINCT constraint_schema, constraint_name, unique_constraint_schema, unique_constraint_name
    FROM INFORMATION_SCHEMA.REFERENTIAL_CONSTRAINTS) rules
INNER JOIN INFORMATION_SCHEMA.KEY_COLUMN_USAGE from_key ON rules.CONSTRAINT_NAME = from_key.CONSTRAINT_NAME
INNER JOIN INFORMATION_SCHEMA.KEY_COLUMN_USAGE to_key ON rules.UNIQUE_CONSTRAINT_NAME = to_key.CONSTRAINT_NAME
ORDER BY 3;

-- not yet: there is no character_sets
-- rows: 1
-- has: UTF8
SELECT character_set_name FROM INFORMATION_SCHEMA.character_sets;

-- has: gmv
-- has: numeric
SELECT COLUMN_NAME, ORDINAL_POSITION, IS_NULLABLE, CASE WHEN DATA_TYPE LIKE '%unsigned%' THEN DATA_TYPE || ' unsigned' ELSE DATA_TYPE END AS DATA_TYPE
FROM INFORMATION_SCHEMA.columns WHERE TABLE_SCHEMA = 'public' AND TABLE_NAME = 'gmv_by_category' ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION;

-- Tableau reads by cursors that are held; the list of what it finds, and a query of no rows for its columns.
-- rows: 0
SELECT * FROM (SELECT category, gmv FROM public.gmv_by_category) "Custom SQL Query" LIMIT 0;

-- has: gmv_by_category
SELECT "gmv_by_category"."category" AS "category", SUM("gmv_by_category"."gmv") AS "sum:gmv:ok", 'gmv_by_category' AS "of"
FROM "public"."gmv_by_category" "gmv_by_category" GROUP BY 1 HAVING (COUNT(1) > 0) ORDER BY 1 ASC NULLS FIRST;

-- Superset stops a query of another connection by its number.
-- like: \d+
SELECT pg_backend_pid();

-- has: public
SELECT * FROM unnest(current_schemas(true));

-- has: numeric
SELECT t.typname, path.nth FROM pg_catalog.pg_type AS t LEFT JOIN (
    SELECT n.oid AS of, s.nth FROM pg_namespace AS n
    JOIN (SELECT nth, (current_schemas(false))[nth] AS nspname FROM generate_series(1, array_upper(current_schemas(false), 1)) AS s(nth)) AS s USING (nspname)
) AS path ON path.of = t.typnamespace WHERE t.typname = 'numeric' ORDER BY path.nth, t.oid DESC;

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

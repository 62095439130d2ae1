-- What DBeaver asks when it connects and when its tree is opened down to a table; in our own words after the classes
-- PostgreDatabase, PostgreSchema, PostgreDataTypeCache and PostgreTableBase in
-- plugins/org.jkiss.dbeaver.ext.postgresql of dbeaver/dbeaver.

-- has: public
SELECT current_schema(), session_user;

-- has: tidemark
SELECT db.oid, db.* FROM pg_catalog.pg_database db WHERE datname = 'tidemark';

-- has: on
SELECT * FROM pg_catalog.pg_settings WHERE name = 'standard_conforming_strings';

-- has: public
SELECT n.oid, n.*, d.description FROM pg_catalog.pg_namespace n
LEFT OUTER JOIN pg_catalog.pg_description d
    ON d.objoid = n.oid AND d.objsubid = 0 AND d.classoid = 'pg_namespace'::regclass
ORDER BY nspname;

-- has: numeric
SELECT t.oid, t.typname, c.relkind, format_type(nullif(t.typbasetype, 0), t.typtypmod) AS base_type_name, d.description
FROM pg_catalog.pg_type t
LEFT OUTER JOIN pg_catalog.pg_type et ON et.oid = t.typelem
LEFT OUTER JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
LEFT OUTER JOIN pg_catalog.pg_description d ON t.oid = d.objoid
WHERE t.typname IS NOT NULL AND (c.relkind IS NULL OR c.relkind = 'c');

-- has: gmv_by_category
SELECT c.oid, c.*, d.description, pg_catalog.pg_get_expr(c.relpartbound, c.oid) AS partition_expr,
    pg_catalog.pg_get_partkeydef(c.oid) AS partition_key
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'
LEFT OUTER JOIN pg_catalog.pg_description d
    ON d.objoid = c.oid AND d.objsubid = 0 AND d.classoid = 'pg_class'::regclass
WHERE c.relkind NOT IN ('i', 'I', 'c');

-- has: End of the window, by the clock of Asia/Shanghai
SELECT c.relname, a.*, pg_catalog.pg_get_expr(ad.adbin, ad.adrelid, true) AS def_value, dsc.description
FROM pg_catalog.pg_attribute a
INNER JOIN pg_catalog.pg_class c ON a.attrelid = c.oid
LEFT OUTER JOIN pg_catalog.pg_attrdef ad ON a.attrelid = ad.adrelid AND a.attnum = ad.adnum
LEFT OUTER JOIN pg_catalog.pg_description dsc ON c.oid = dsc.objoid AND a.attnum = dsc.objsubid
WHERE NOT a.attisdropped AND c.relname = 'gmv_by_category'
ORDER BY a.attnum;

-- rows: 0
SELECT c.oid, c.*, t.relname AS tabrelname, rt.relnamespace AS refnamespace, d.description
FROM pg_catalog.pg_constraint c
INNER JOIN pg_catalog.pg_class t ON t.oid = c.conrelid
LEFT OUTER JOIN pg_catalog.pg_class rt ON rt.oid = c.confrelid
LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid = c.oid
ORDER BY c.oid;

-- rows: 0
SELECT i.indrelid, c.relname, pg_catalog.pg_get_indexdef(i.indexrelid) AS definition, i.indkey[0]
FROM pg_catalog.pg_index i
INNER JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid;

-- rows: 1
SELECT string_agg(word, ',') FROM pg_catalog.pg_get_keywords() WHERE word <> ALL ('{a,abs,select,where}'::text[]);

-- has: True
SELECT n.nspname = ANY(current_schemas(true)) AS is_seen, n.nspname, t.typname
FROM pg_catalog.pg_type t
JOIN pg_catalog.pg_namespace n ON t.typnamespace = n.oid
WHERE t.oid = 1700;

-- has: _numeric
SELECT typinput = 'pg_catalog.array_in'::regproc AS is_array, typtype, typname, oid FROM pg_catalog.pg_type ORDER BY oid;

-- has: gmv_by_category
SELECT c.oid, c.relname, pg_catalog.pg_total_relation_size(c.oid) AS total_size, pg_catalog.pg_relation_size(c.oid) AS size
FROM pg_catalog.pg_class c
WHERE c.relnamespace = 'public'::regnamespace;

-- rows: 0
SELECT i.inhparent, c.relname, n.nspname FROM pg_catalog.pg_inherits i, pg_catalog.pg_class c, pg_catalog.pg_namespace n
WHERE i.inhrelid = 1 AND c.oid = i.inhparent AND n.oid = c.relnamespace ORDER BY i.inhseqno;

-- rows: 0
SELECT e.oid, e.*, n.nspname AS schema_name FROM pg_catalog.pg_extension e LEFT JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace;

-- rows: 0
SELECT x.oid, x.*, p.relname AS tab_name FROM pg_catalog.pg_trigger x LEFT JOIN pg_catalog.pg_class p ON p.oid = x.tgrelid WHERE NOT x.tgisinternal;

-- rows: 0
SELECT d.classid, d.objid, d.deptype, c.relname FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class c ON c.oid = d.objid WHERE d.refobjid = 1;

-- has: btree
SELECT am.oid, am.* FROM pg_catalog.pg_am am ORDER BY am.oid;

-- has: pg_default
SELECT t.oid, t.*, pg_catalog.pg_tablespace_location(t.oid) AS loc FROM pg_catalog.pg_tablespace t ORDER BY t.oid;

-- has: plpgsql
SELECT l.oid, l.* FROM pg_catalog.pg_language l ORDER BY l.oid;

-- has: false
SELECT t.oid, t.typname, t.typbasetype <> 0 AS is_domain, EXISTS (SELECT 1 FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid)::text AS is_enum
FROM pg_catalog.pg_type t WHERE t.typname = 'numeric';

-- has: public
-- has: analyst
SELECT current_schema() AS seen, session_user AS who, current_user AS what;

-- not yet: pg_roles has no row
-- has: analyst
SELECT r.oid, r.* FROM pg_catalog.pg_roles r ORDER BY r.oid;

-- not yet: the encoding is told as UTF-8
-- has: UTF8
SELECT enc.contoencoding, pg_catalog.pg_encoding_to_char(enc.contoencoding) AS word FROM pg_catalog.pg_conversion enc GROUP BY 1 ORDER BY 2;

-- not yet: pg_encoding_to_char takes no number as it is written
-- has: UTF8
SELECT pg_catalog.pg_encoding_to_char(6) AS one, pg_catalog.pg_encoding_to_char(db.encoding) AS other FROM pg_catalog.pg_database db;

-- rows: 0
SELECT w.oid, w.*, f.pronamespace FROM pg_catalog.pg_foreign_data_wrapper w LEFT OUTER JOIN pg_catalog.pg_proc f ON f.oid = w.fdwhandler;

-- has: gmv_by_category
SELECT k.oid, k.*, d.description, (SELECT array_agg(h.inhparent) FROM pg_catalog.pg_inherits h WHERE h.inhrelid = k.oid) AS above
FROM pg_catalog.pg_class k
LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid = k.oid AND d.objsubid = 0
WHERE k.relnamespace = OID_OF_PUBLIC AND k.relkind NOT IN ('i', 'c');

-- rows: 0
SELECT f.oid, f.*, d.description FROM pg_catalog.pg_proc f LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid = f.oid
WHERE f.pronamespace = OID_OF_PUBLIC ORDER BY f.proname;

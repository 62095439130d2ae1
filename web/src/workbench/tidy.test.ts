import { describe, expect, it } from 'vitest';
import { tidy } from './tidy';

const EXAMPLES = import.meta.glob<string>('../../../sql/examples/*.sql', { query: '?raw', import: 'default', eager: true });

/** What must not change: everything but white space and the size of letters outside of quotes. */
const bare = (sql: string): string => sql.replace(/\s+/g, '').toLowerCase();

describe('a tidied statement', () => {
  it('has a clause to a line and its keywords in capitals', () => {
    expect(tidy(`select a,b ,count(*) as n from t left join u on t.id=u.id where a>1 and b between 1 and 2 group by a,b order by n desc limit 5`)).toBe(
      `SELECT a, b, count(*) AS n
FROM t
LEFT JOIN u ON t.id=u.id
WHERE a>1 AND b BETWEEN 1 AND 2
GROUP BY a, b
ORDER BY n DESC
LIMIT 5
`,
    );
  });
  it('breaks a long list and a long condition, and sets a query in brackets in', () => {
    const sql =
      "select first_column_with_a_name, second_column_with_a_name, third_column_with_a_name from (select * from t) x " +
      "where province = 'Zhejiang' and category in (select name from c) and payments between 10 and 20 and gmv > :least";
    expect(tidy(sql)).toBe(`SELECT
  first_column_with_a_name,
  second_column_with_a_name,
  third_column_with_a_name
FROM (
  SELECT *
  FROM t
) x
WHERE province = 'Zhejiang'
  AND category IN (
    SELECT name
    FROM c
  )
  AND payments BETWEEN 10 AND 20
  AND gmv > :least
`);
  });
  it('leaves texts, names in quotes and comments alone, and what only looks like a keyword', () => {
    const sql = `select ':no from', "From" , left(x,2), t.order, extract(hour from at) -- select
from t -- where
where a is distinct from b; select 2`;
    expect(tidy(sql)).toBe(`SELECT ':no from', "From", left(x, 2), t.order, extract(hour FROM at) -- select
FROM t -- where
WHERE a IS DISTINCT FROM b;

SELECT 2
`);
  });
  it('is tidy already', () => {
    const sql = 'select a from t where b in (select c from d) and e = -1 or f = $1::DECIMAL(18, 2)';
    expect(tidy(tidy(sql))).toBe(tidy(sql));
  });
  it('that cannot be read stays as it was, or keeps its words', () => {
    for (const sql of ["select 'never closed from t", 'select ) from ( t', '', 'SELECT /* open']) expect(bare(tidy(sql))).toBe(bare(sql));
  });
  it('keeps every word of every question', () => {
    const examples = Object.entries(EXAMPLES);
    expect(examples.length).toBeGreaterThanOrEqual(30);
    for (const [name, sql] of examples) {
      expect(bare(tidy(sql)), name).toBe(bare(sql));
      expect(tidy(tidy(sql)), name).toBe(tidy(sql));
    }
  });
});

-- question.zh: 哪些记录被拒收,为什么?
-- question.en: Which records are rejected, and why?
-- columns: stream, kind, reason, records, first_offset
-- note: No rows are good news.
SELECT stream, kind, reason, COUNT(*) AS records, MIN("offset") AS first_offset
FROM dead_letters
GROUP BY stream, kind, reason
ORDER BY records DESC, stream, kind, reason;

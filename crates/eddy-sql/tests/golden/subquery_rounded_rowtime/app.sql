-- Expectation: a minute that a subquery rounded ROWTIME down to is a window of a minute, as long as the minute lasts.
CREATE OR REPLACE STREAM "OUT" (m TIMESTAMP, n BIGINT);
CREATE OR REPLACE PUMP "P" AS INSERT INTO "OUT"
SELECT STREAM t.m, COUNT(*) FROM (SELECT STREAM FLOOR(s.ROWTIME TO MINUTE) AS m, v FROM "SOURCE_SQL_STREAM_001" s) AS t GROUP BY t.m;

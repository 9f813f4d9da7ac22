-- Expectation: a window's groups leave when a later row, or the end, has passed its end: in the order of their first
-- rows, with the window's start as the time's value and its end as ROWTIME.
CREATE OR REPLACE STREAM "DESTINATION_SQL_STREAM" (t TIMESTAMP, k VARCHAR(8), n BIGINT, s DOUBLE, a DOUBLE, lo DOUBLE, hi DOUBLE);
CREATE OR REPLACE PUMP "P" AS INSERT INTO "DESTINATION_SQL_STREAM"
SELECT STREAM FLOOR(s.ROWTIME TO MINUTE), k, COUNT(v), SUM(v), AVG(v), MIN(v), MAX(v)
 FROM "SOURCE_SQL_STREAM_001" AS s GROUP BY FLOOR(s.ROWTIME TO MINUTE), k;

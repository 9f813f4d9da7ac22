-- Expectation: the rows' own ROWTIME may be named among the columns: it changes nothing.
CREATE OR REPLACE STREAM "OUT" (v DOUBLE);
CREATE OR REPLACE PUMP "P" AS INSERT INTO "OUT" (ROWTIME, v)
SELECT STREAM s.ROWTIME, s.v FROM "SOURCE_SQL_STREAM_001" s;

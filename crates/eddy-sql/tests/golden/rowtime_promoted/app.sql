-- Expectation: t AS ROWTIME without a sort makes the column the rows' time; a row behind the one before
-- is out of order and goes to the error stream.
CREATE OR REPLACE STREAM "OUT" (v DOUBLE);
CREATE OR REPLACE PUMP "P" AS INSERT INTO "OUT" SELECT STREAM et AS ROWTIME, v FROM "SOURCE_SQL_STREAM_001";

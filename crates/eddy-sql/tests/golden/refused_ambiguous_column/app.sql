-- Expectation: both sides have the column: the stream's name says which is meant.
CREATE OR REPLACE STREAM "OUT" (k VARCHAR(8), v DOUBLE);
CREATE OR REPLACE PUMP "P" AS INSERT INTO "OUT" SELECT STREAM k, a.v FROM "SOURCE_SQL_STREAM_001" AS a JOIN "SOURCE_SQL_STREAM_001" AS b ON a.n = b.n;

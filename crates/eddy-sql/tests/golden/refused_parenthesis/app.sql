-- Expectation: what is not closed is told where it begins to be wrong.
CREATE OR REPLACE STREAM "OUT" (k VARCHAR(8), v DOUBLE);
CREATE OR REPLACE PUMP "P" AS INSERT INTO "OUT" SELECT STREAM k, (v FROM "SOURCE_SQL_STREAM_001";

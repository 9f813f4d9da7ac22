-- Expectation: a pump needs its stream; it says what there is.
CREATE OR REPLACE STREAM "OUT" (k VARCHAR(8), v DOUBLE);
CREATE PUMP "P" AS INSERT INTO "ELSEWHERE" SELECT STREAM k FROM "SOURCE_SQL_STREAM_001";

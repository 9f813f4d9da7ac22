-- Expectation: refused with the way round: without ALL rows would be compared with all before.
CREATE OR REPLACE STREAM "OUT" (k VARCHAR(8), v DOUBLE);
CREATE OR REPLACE PUMP "P" AS INSERT INTO "OUT" SELECT STREAM k, v FROM "SOURCE_SQL_STREAM_001" UNION SELECT STREAM k, v FROM "SOURCE_SQL_STREAM_001";

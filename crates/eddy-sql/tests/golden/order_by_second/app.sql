-- Expectation: rows of a second leave when the time has passed it, sorted; equal ones stay in order; ROWTIMEs stay theirs.
CREATE OR REPLACE STREAM "DESTINATION_SQL_STREAM" (k VARCHAR(8), v DOUBLE);
CREATE OR REPLACE PUMP "P" AS INSERT INTO "DESTINATION_SQL_STREAM"
SELECT STREAM k, v FROM "SOURCE_SQL_STREAM_001" s ORDER BY FLOOR(s.ROWTIME TO SECOND), v DESC;

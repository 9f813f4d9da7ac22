-- Expectation: a T-sort puts rows into the order of a column, which becomes their ROWTIME; a row leaves when one has come
-- that is later by the interval; later ones, and NULL, go to the error stream.
CREATE OR REPLACE STREAM "DESTINATION_SQL_STREAM" (v DOUBLE);
CREATE OR REPLACE PUMP "P" AS INSERT INTO "DESTINATION_SQL_STREAM"
SELECT STREAM et AS ROWTIME, v FROM "SOURCE_SQL_STREAM_001" ORDER BY et WITHIN INTERVAL '1' MINUTE;

-- Expectation: a difference of times with a qualifier is an interval; a cast counts its units; intervals are added to
-- times and multiplied (the Reference: 2 * INTERVAL '3 4' DAY TO HOUR is 6 days 8 hours).
CREATE OR REPLACE STREAM "DESTINATION_SQL_STREAM" (a BIGINT, b INTEGER, c TIMESTAMP, d BIGINT);
CREATE OR REPLACE PUMP "P" AS INSERT INTO "DESTINATION_SQL_STREAM"
SELECT STREAM CAST((ROWTIME - ts) SECOND AS BIGINT), CAST((ROWTIME - ts) MINUTE AS INTEGER),
 ROWTIME - INTERVAL '1' HOUR, CAST(2 * INTERVAL '3 4' DAY TO HOUR AS BIGINT) FROM "SOURCE_SQL_STREAM_001";

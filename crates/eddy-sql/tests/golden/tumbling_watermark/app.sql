-- Expectation: a watermark without a row closes windows; a row exactly at the end belongs to the next window; a quiet
-- window gives nothing.
CREATE OR REPLACE STREAM "DESTINATION_SQL_STREAM" (t TIMESTAMP, n BIGINT);
CREATE OR REPLACE PUMP "P" AS INSERT INTO "DESTINATION_SQL_STREAM"
SELECT STREAM FLOOR(ROWTIME TO MINUTE), COUNT(*) FROM "SOURCE_SQL_STREAM_001" GROUP BY FLOOR(ROWTIME TO MINUTE);

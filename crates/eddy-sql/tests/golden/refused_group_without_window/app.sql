-- Expectation: without a window no row would ever leave.
CREATE OR REPLACE STREAM "OUT" (a VARCHAR(10));
CREATE OR REPLACE PUMP "P" AS INSERT INTO "OUT"
SELECT STREAM "iotName" FROM "SOURCE_SQL_STREAM_001" GROUP BY "iotName";

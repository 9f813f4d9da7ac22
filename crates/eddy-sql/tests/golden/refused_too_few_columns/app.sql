-- Expectation: INSERT without a list needs as many columns as the stream has.
CREATE OR REPLACE STREAM "OUT" (a VARCHAR(10), b INTEGER);
CREATE OR REPLACE PUMP "P" AS INSERT INTO "OUT" SELECT STREAM "iotName" FROM "SOURCE_SQL_STREAM_001";

-- Expectation: records that do not fit the schema are left out and reported: 123.4 is no INTEGER; VARCHAR is cut without an error;
-- booleans are 1 and 0, texts are read as numbers.
CREATE OR REPLACE STREAM "DESTINATION_SQL_STREAM" (n VARCHAR(4), v INTEGER);
CREATE OR REPLACE PUMP "P" AS INSERT INTO "DESTINATION_SQL_STREAM"
SELECT STREAM * FROM "SOURCE_SQL_STREAM_001";

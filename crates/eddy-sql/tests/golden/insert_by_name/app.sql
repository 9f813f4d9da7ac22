-- Expectation: INSERT with a list assigns by name; what is not named is NULL.
CREATE OR REPLACE STREAM "OUT" (a INTEGER, b VARCHAR(40), c DOUBLE);
CREATE OR REPLACE PUMP "P" AS INSERT INTO "OUT" (b, a)
SELECT STREAM "iotName", "iotValue" FROM "SOURCE_SQL_STREAM_001";

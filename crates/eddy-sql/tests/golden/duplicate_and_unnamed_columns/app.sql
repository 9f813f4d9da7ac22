-- Expectation: columns of one name, and columns without a name, are legal: assignment is by position.
CREATE OR REPLACE STREAM "DESTINATION_SQL_STREAM" (a REAL, b REAL, c REAL);
CREATE OR REPLACE PUMP "P" AS INSERT INTO "DESTINATION_SQL_STREAM"
SELECT STREAM price AS Price, price AS Price, price + 1 FROM "SOURCE_SQL_STREAM_001";

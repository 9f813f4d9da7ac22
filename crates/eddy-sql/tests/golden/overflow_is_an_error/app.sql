-- Expectation: an INTEGER beyond 32 bits is an error of its row, as is a number that does not fit the column.
CREATE OR REPLACE STREAM "DESTINATION_SQL_STREAM" (a INTEGER, b TINYINT);
CREATE OR REPLACE PUMP "P" AS INSERT INTO "DESTINATION_SQL_STREAM"
SELECT STREAM i * 2, i FROM "SOURCE_SQL_STREAM_001" WHERE i > 0;

-- Expectation: division by zero is an error of its row, of integers and of floating numbers, computed or constant;
-- the others pass in order.
CREATE OR REPLACE STREAM "DESTINATION_SQL_STREAM" (a INTEGER, b DOUBLE);
CREATE OR REPLACE PUMP "P" AS INSERT INTO "DESTINATION_SQL_STREAM"
SELECT STREAM 10 / i, 1.5E0 / d FROM "SOURCE_SQL_STREAM_001";

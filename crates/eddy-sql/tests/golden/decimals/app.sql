-- Expectation: DECIMALs are added and multiplied exactly: scales add up in a product, the larger one stays in a sum.
CREATE OR REPLACE STREAM "DESTINATION_SQL_STREAM" (a DECIMAL(8,2), b DECIMAL(10,3), c DECIMAL(10,4));
CREATE OR REPLACE PUMP "P" AS INSERT INTO "DESTINATION_SQL_STREAM"
SELECT STREAM x, x + 0.125, x * 1.10 FROM "SOURCE_SQL_STREAM_001";

-- Expectation: refused: rows go into a stream by a pump.
CREATE OR REPLACE STREAM "OUT" (k VARCHAR(8), v DOUBLE);
SELECT STREAM k FROM "SOURCE_SQL_STREAM_001";

-- Expectation: a text beside a number is read as a DOUBLE, whatever the type that the literal would have.
CREATE OR REPLACE STREAM "OUT" (k VARCHAR(8), at_least BOOLEAN);
CREATE OR REPLACE PUMP "P" AS INSERT INTO "OUT" SELECT STREAM k, k >= 5 FROM "SOURCE_SQL_STREAM_001" WHERE k > 1.5;

-- Expectation: in a window of rows ages are those of the rows' times; an average beyond DOUBLE is an error of its row.
CREATE OR REPLACE STREAM "OUT" (k VARCHAR(8), a DOUBLE);
CREATE OR REPLACE PUMP "P" AS INSERT INTO "OUT" SELECT STREAM k, EXP_AVG(v, INTERVAL '1' SECOND) OVER (ROWS 1 PRECEDING) FROM "SOURCE_SQL_STREAM_001";

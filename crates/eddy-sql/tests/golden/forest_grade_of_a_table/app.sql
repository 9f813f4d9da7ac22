-- Expectation: a table's column is found under such a name however it is written, as it was before there was the extension.
CREATE OR REPLACE STREAM "OUT" (k VARCHAR(8), grade VARCHAR(8));
CREATE OR REPLACE PUMP "P" AS INSERT INTO "OUT"
SELECT STREAM t.k, ANOMALY_GRADE
FROM TABLE(RANDOM_CUT_FOREST(CURSOR(SELECT STREAM k, v FROM "SOURCE_SQL_STREAM_001"), 10, 16)) f
JOIN "T" t ON f.k = t.k;

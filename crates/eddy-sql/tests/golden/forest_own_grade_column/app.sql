-- Expectation: a column that the application itself has under such a name is its own, as it was before there was the extension.
CREATE OR REPLACE STREAM "OUT" (k VARCHAR(8), anomaly_grade VARCHAR(8), anomaly_threshold DOUBLE, s DOUBLE);
CREATE OR REPLACE PUMP "P" AS INSERT INTO "OUT"
SELECT STREAM k, ANOMALY_GRADE, 3.5 AS ANOMALY_THRESHOLD, ANOMALY_SCORE
FROM TABLE(RANDOM_CUT_FOREST(CURSOR(SELECT STREAM k, v, UPPER(k) AS ANOMALY_GRADE FROM "SOURCE_SQL_STREAM_001"), 10, 16));

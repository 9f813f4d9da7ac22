-- Expectation: ANOMALY_GRADE and ANOMALY_THRESHOLD, an extension, are columns of a forest where they are named. The
-- readings of rows 70, 71, 95 and 118 are far from the others; the second and later of them meet a forest that knows the first.
-- Values from the run; crates/eddy-detect/src/grade.rs tests the rule, forests.rs that grades are the detector's.
CREATE OR REPLACE STREAM "DESTINATION_SQL_STREAM" (n INTEGER, v DOUBLE, s DOUBLE, g DOUBLE, t DOUBLE);
CREATE OR REPLACE PUMP "P" AS INSERT INTO "DESTINATION_SQL_STREAM"
SELECT STREAM n, v, ANOMALY_SCORE, ANOMALY_GRADE, ANOMALY_THRESHOLD
FROM TABLE(RANDOM_CUT_FOREST(CURSOR(SELECT STREAM CAST(n AS VARCHAR(4)) AS n, v FROM "SOURCE_SQL_STREAM_001"), 50, 64))
WHERE ANOMALY_GRADE > 0 OR MOD(CAST(n AS INTEGER), 40) = 0;

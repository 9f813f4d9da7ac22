-- Expectation: a pump that names neither grade nor threshold is as it was: `*` has the cursor's columns and the score. In one that
-- names a grade, `*` is the same. A NULL has no score and no grade.
CREATE OR REPLACE STREAM "ALL" (v DOUBLE, s DOUBLE);
CREATE OR REPLACE STREAM "GRADED" (v DOUBLE, s DOUBLE, anomaly_grade DOUBLE, t DOUBLE);
CREATE OR REPLACE PUMP "A" AS INSERT INTO "ALL"
SELECT STREAM * FROM TABLE(RANDOM_CUT_FOREST(CURSOR(SELECT STREAM v FROM "SOURCE_SQL_STREAM_001"), 10, 16));
CREATE OR REPLACE PUMP "B" AS INSERT INTO "GRADED"
SELECT STREAM *, anomaly_grade, f.ANOMALY_THRESHOLD FROM TABLE(RANDOM_CUT_FOREST(CURSOR(SELECT STREAM v FROM "SOURCE_SQL_STREAM_001"), 10, 16)) AS f;

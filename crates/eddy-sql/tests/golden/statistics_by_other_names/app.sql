-- Expectation: of 2 and 4 the mean is 3, the sum of squares about it 2: of a sample the variance is 2, of all 1. VARIANCE and
-- STDDEV are those of a sample.
CREATE OR REPLACE STREAM "OUT" (a DOUBLE, b DOUBLE, c DOUBLE, d DOUBLE, e DOUBLE);
CREATE OR REPLACE PUMP "P" AS INSERT INTO "OUT"
SELECT STREAM VARIANCE(v), VAR_SAMP(v), VAR_POP(v), STDDEV_SAMP(v), STDDEV_POP(v) FROM "SOURCE_SQL_STREAM_001" s
GROUP BY FLOOR(s.ROWTIME TO MINUTE);

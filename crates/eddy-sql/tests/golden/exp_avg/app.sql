-- Expectation: worked by hand from the Reference's example (a half-life of 10 s over 30 s): values up to 10 s old count
-- once, up to 20 s half, up to 30 s a quarter; an age on the border belongs to the older part, 30 s is the eighth.
-- NULLs count nothing; nothing but NULLs is NULL.
CREATE OR REPLACE STREAM "OUT" (k VARCHAR(8), a DOUBLE);
CREATE OR REPLACE PUMP "P" AS INSERT INTO "OUT" SELECT STREAM k, EXP_AVG(v, INTERVAL '10' SECOND) OVER w FROM "SOURCE_SQL_STREAM_001"
WINDOW w AS (PARTITION BY k RANGE INTERVAL '30' SECOND PRECEDING);

-- Expectation: the standard's: an approximate number beside an exact one makes both approximate, here DOUBLE. 1.1 as a REAL is
-- 1.10000002384185791015625, so it is not 1.1, and above it; 1.5 is the same in both. CAST(1.1 AS REAL) compares as REAL.
CREATE OR REPLACE STREAM "OUT" (r REAL, is_literal BOOLEAN, is_above BOOLEAN, is_in BOOLEAN, is_cast BOOLEAN, is_integer BOOLEAN, is_double BOOLEAN);
CREATE OR REPLACE PUMP "P" AS INSERT INTO "OUT"
SELECT STREAM r, r = 1.1 OR r = 1.5, r > 1.1, r IN (1.1, 1.5), r = CAST(1.1 AS REAL), r = 2, r = d FROM "SOURCE_SQL_STREAM_001";

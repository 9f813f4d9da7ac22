-- Expectation: the standard's: IS [NOT] DISTINCT FROM compares NULL as a value; IS TRUE, IS FALSE and IS UNKNOWN, and their
-- negations, are never NULL. NOT IN with a NULL is not true; NOT BETWEEN and NOT LIKE of NULL are NULL.
CREATE OR REPLACE STREAM "OUT" (k VARCHAR(8), n INTEGER, d BOOLEAN, s BOOLEAN, is_true BOOLEAN, is_false BOOLEAN, is_unknown BOOLEAN, is_known BOOLEAN, not_in BOOLEAN, not_between BOOLEAN, not_like BOOLEAN);
CREATE OR REPLACE PUMP "P" AS INSERT INTO "OUT"
SELECT STREAM k, n, n IS DISTINCT FROM 1, n IS NOT DISTINCT FROM NULL, (n > 1) IS TRUE, (n > 1) IS FALSE, (n > 1) IS UNKNOWN, (n > 1) IS NOT UNKNOWN,
  n NOT IN (1, 2), n NOT BETWEEN 1 AND 2, k NOT LIKE 'a%' FROM "SOURCE_SQL_STREAM_001";

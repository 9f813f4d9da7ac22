-- Expectation: the row whose pair ON fails for is in the error stream only, not among the rows without a partner.
CREATE OR REPLACE STREAM "OUT" (v DOUBLE, d DOUBLE);
CREATE OR REPLACE PUMP "P" AS INSERT INTO "OUT" SELECT STREAM s.v, t.d FROM "SOURCE_SQL_STREAM_001" s
 LEFT JOIN "T" AS t ON s.id = t.id AND s.v / t.d > 1;

-- Expectation: reference data does not move: it is joined.
CREATE OR REPLACE STREAM "OUT" (k VARCHAR(8), v DOUBLE);
CREATE OR REPLACE PUMP "P" AS INSERT INTO "OUT" SELECT STREAM k, 1 FROM "R";

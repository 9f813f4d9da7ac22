-- Expectation: refused by name.
CREATE OR REPLACE STREAM "OUT" (k VARCHAR(8), v DOUBLE);
UPDATE "OUT" SET v = 1;

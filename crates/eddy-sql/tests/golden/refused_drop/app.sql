-- Expectation: refused: nothing is there to be dropped.
CREATE OR REPLACE STREAM "OUT" (k VARCHAR(8), v DOUBLE);
DROP STREAM "OUT";

-- Expectation: a stream has each column once.
CREATE OR REPLACE STREAM "OUT" (k VARCHAR(8), k DOUBLE);

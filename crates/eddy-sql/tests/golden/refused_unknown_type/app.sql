-- Expectation: refused by name.
CREATE OR REPLACE STREAM "OUT" (k BLOB);

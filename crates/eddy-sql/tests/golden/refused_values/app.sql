-- Expectation: a pump selects from a stream.
CREATE OR REPLACE STREAM "OUT" (k VARCHAR(8), v DOUBLE);
CREATE OR REPLACE PUMP "P" AS INSERT INTO "OUT" VALUES ('a', 1);

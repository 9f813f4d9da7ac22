-- Expectation: the error stream may be an output; its rows stand among the others at their place.
CREATE OR REPLACE STREAM "OUT" (a INTEGER);
CREATE OR REPLACE PUMP "P" AS INSERT INTO "OUT" SELECT STREAM 6 / i FROM "SOURCE_SQL_STREAM_001";

-- Expectation: a subquery in an expression is refused with the way round.
CREATE OR REPLACE STREAM "OUT" (a VARCHAR(10));
CREATE OR REPLACE PUMP "P" AS INSERT INTO "OUT"
SELECT STREAM "iotName" FROM "SOURCE_SQL_STREAM_001" WHERE "iotValue" IN (SELECT STREAM "iotValue" FROM "SOURCE_SQL_STREAM_001");

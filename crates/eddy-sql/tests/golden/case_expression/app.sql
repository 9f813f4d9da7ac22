-- Expectation: searched and simple CASE; without ELSE the result is NULL; the branch that is not taken is not
-- evaluated, so a division by zero in it is no error.
CREATE OR REPLACE STREAM "DESTINATION_SQL_STREAM" (a VARCHAR(6), b INTEGER, c INTEGER);
CREATE OR REPLACE PUMP "P" AS INSERT INTO "DESTINATION_SQL_STREAM"
SELECT STREAM CASE WHEN v > 10 THEN 'high' WHEN v > 5 THEN 'middle' ELSE 'low' END,
  CASE v WHEN 0 THEN 100 WHEN 7 THEN 200 END,
  CASE WHEN v = 0 THEN 0 ELSE 70 / v END FROM "SOURCE_SQL_STREAM_001";

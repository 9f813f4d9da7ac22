-- Expectation: with a definition the streams that its outputs name leave, read by a pump or not; others do not.
CREATE OR REPLACE STREAM "MID" (v DOUBLE);
CREATE OR REPLACE STREAM "OUT" (v DOUBLE);
CREATE OR REPLACE PUMP "A" AS INSERT INTO "MID" SELECT STREAM v FROM "SOURCE_SQL_STREAM_001";
CREATE OR REPLACE PUMP "B" AS INSERT INTO "OUT" SELECT STREAM v * 2 FROM "MID";

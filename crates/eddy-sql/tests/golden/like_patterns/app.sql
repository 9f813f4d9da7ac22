-- Expectation: % is any text, _ one character; the escape is only what ESCAPE names; a backslash is itself.
CREATE OR REPLACE STREAM "DESTINATION_SQL_STREAM" (a BOOLEAN, b BOOLEAN, c BOOLEAN, d BOOLEAN);
CREATE OR REPLACE PUMP "P" AS INSERT INTO "DESTINATION_SQL_STREAM"
SELECT STREAM s LIKE 'A%', s NOT LIKE '_B%', s LIKE '%10!%%' ESCAPE '!', s LIKE '%\%' FROM "SOURCE_SQL_STREAM_001";

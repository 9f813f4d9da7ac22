-- Expectation: REGEX_REPLACE(text, pattern, replacement, start, occurrence): occurrence 0 replaces all, n the n-th; $1 is a group.
CREATE OR REPLACE STREAM "DESTINATION_SQL_STREAM" (a VARCHAR(20), b VARCHAR(20), c VARCHAR(20));
CREATE OR REPLACE PUMP "P" AS INSERT INTO "DESTINATION_SQL_STREAM"
SELECT STREAM REGEX_REPLACE(s, 'a', 'X', 1, 0), REGEX_REPLACE(s, 'a', 'X', 1, 2), REGEX_REPLACE(s, '([a-z])-', '$1_') FROM "SOURCE_SQL_STREAM_001";

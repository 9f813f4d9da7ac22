-- Expectation: fields at their places, counted from 0, in their types; without FOR to the end; times in the formats that
-- are given; what the text ends before is NULL. A field that does not fit its type is an error of its row.
CREATE OR REPLACE STREAM "OUT" (a VARCHAR(16), n INTEGER, t TIMESTAMP, rest VARCHAR(16));
CREATE OR REPLACE PUMP "P" AS INSERT INTO "OUT"
SELECT STREAM r.host, r."n", r.t, r.rest FROM (SELECT STREAM FIXED_COLUMN_LOG_PARSE("x", 'host TYPE VARCHAR(4) NOT NULL START 0 FOR 4, "n" TYPE INTEGER START 4 FOR 3, t TYPE TIMESTAMP ''dd/MMM/yyyy:HH:mm:ss'' START 8 FOR 20, rest TYPE VARCHAR(16) START 29') AS r FROM "SOURCE_SQL_STREAM_001") AS s;

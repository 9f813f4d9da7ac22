-- Expectation: by hand, in the manner of published clickstream applications: a session a user and minute, closed a minute after its
-- first click; TSDIFF is how far apart two times are, whichever comes first.
CREATE OR REPLACE STREAM "SESSIONS" (id VARCHAR(30), clicks INTEGER, first_page VARCHAR(8), last_page VARCHAR(8), begins VARCHAR(25), seconds INTEGER, same INTEGER);
CREATE OR REPLACE PUMP "P" AS INSERT INTO "SESSIONS"
SELECT STREAM UPPER(CAST("n" AS VARCHAR(3)) || '_' || SUBSTRING("k", 1, 1) || CAST(UNIX_TIMESTAMP(FLOOR("t" TO MINUTE)) / 1000 AS VARCHAR(20))),
  COUNT("k"), FIRST_VALUE("k"), LAST_VALUE("k"), SUBSTRING(CAST(MIN("t") AS VARCHAR(25)), 15, 19),
  TSDIFF(MAX("t"), MIN("t")) / 1000, TSDIFF(MIN("t"), MAX("t")) / 1000
FROM "SOURCE_SQL_STREAM_001"
WINDOWED BY STAGGER (PARTITION BY "n", SUBSTRING("k", 1, 1), FLOOR("t" TO MINUTE) RANGE INTERVAL '1' MINUTE);

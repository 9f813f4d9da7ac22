-- Expectation: sums of ten seconds feed a window of a minute. A sum's ROWTIME is its window's end, so the
-- one that ends at 12:01:00 belongs to the next minute: 1 + 2 in the first, 4 in the second.
CREATE OR REPLACE STREAM "TENS" (s DOUBLE);
CREATE OR REPLACE STREAM "OUT" (n BIGINT, s DOUBLE);
CREATE OR REPLACE PUMP "A" AS INSERT INTO "TENS" SELECT STREAM SUM(v) FROM "SOURCE_SQL_STREAM_001" s GROUP BY STEP(s.ROWTIME BY INTERVAL '10' SECOND);
CREATE OR REPLACE PUMP "B" AS INSERT INTO "OUT" SELECT STREAM COUNT(*), SUM(s) FROM "TENS" t GROUP BY FLOOR(t.ROWTIME TO MINUTE);

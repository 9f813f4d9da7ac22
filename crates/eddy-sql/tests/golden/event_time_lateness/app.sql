-- Expectation: by hand. With an allowed lateness of 10 s, an extension, ROWTIME is the event's time, in whatever order records come;
-- a window closes when the latest time less 10 s has passed its end. Row 7 (3.999 s behind a latest time of 14 s) is late, row 9
-- (20 s behind one of 31 s) too; row 5 is in time and in the window that ends at 10 s.
CREATE OR REPLACE STREAM "SUMS" (k VARCHAR(8), n BIGINT, total INTEGER);
CREATE OR REPLACE STREAM "PASSED" (k VARCHAR(8), n INTEGER);
CREATE OR REPLACE PUMP "A" AS INSERT INTO "SUMS" SELECT STREAM k, COUNT(*), SUM(n)
FROM "SOURCE_SQL_STREAM_001" s GROUP BY k, STEP(s.ROWTIME BY INTERVAL '10' SECOND);
CREATE OR REPLACE PUMP "B" AS INSERT INTO "PASSED" SELECT STREAM k, n FROM "SOURCE_SQL_STREAM_001";

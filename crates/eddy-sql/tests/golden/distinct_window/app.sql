-- Expectation: the SQL Reference's exact count of distinct items: distinct rows of five seconds, counted by
-- symbol; the inner rows leave at 12:00:05 with times before it, and the outer window closes with them.
CREATE OR REPLACE STREAM "OUT" (ticker VARCHAR(4), unique_count BIGINT);
CREATE OR REPLACE PUMP "P" AS INSERT INTO "OUT"
SELECT STREAM TICKER_SYMBOL, COUNT(d.price) AS unique_count
 FROM (SELECT STREAM DISTINCT rowtime AS window_time, TICKER_SYMBOL, PRICE, STEP((SOURCE_SQL_STREAM_001.rowtime) BY INTERVAL '5' SECOND)
   FROM SOURCE_SQL_STREAM_001) AS d
 GROUP BY TICKER_SYMBOL, STEP((d.window_time) BY INTERVAL '5' SECOND);

-- Expectation: refused: PARTITION BY behind a cursor, an extension, is of the forest functions alone; it is not ignored.
CREATE OR REPLACE STREAM "OUT" (a VARCHAR(1024), n DOUBLE);
CREATE OR REPLACE PUMP "P" AS INSERT INTO "OUT"
SELECT STREAM * FROM TABLE(TOP_K_ITEMS_TUMBLING(CURSOR(SELECT STREAM * FROM "SOURCE_SQL_STREAM_001") PARTITION BY k, 'v', 3, 60));

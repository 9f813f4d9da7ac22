-- Expectation: by hand. Of three rows, those within 1 of each other are a hotspot: density = rows / length, where a length below the
-- radius counts as the radius. A NULL is no point: its row passes without a result. What is behind the last three points is
-- forgotten.
CREATE OR REPLACE STREAM "OUT" (v INTEGER, h VARCHAR(10000));
CREATE OR REPLACE PUMP "P" AS INSERT INTO "OUT"
SELECT STREAM v, HOTSPOTS_RESULT FROM TABLE(HOTSPOTS(CURSOR(SELECT STREAM v FROM "SOURCE_SQL_STREAM_001"), 3, 1, 2));

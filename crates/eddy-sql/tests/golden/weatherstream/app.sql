-- Expectation: the SQL Reference's WEATHERSTREAM: the lowest and highest temperature of the day before each reading, that
-- day's beginning included, of all cities and of the reading's own; a row sees itself and rows that came before,
-- never a later one of the same ROWTIME.
CREATE OR REPLACE STREAM "DESTINATION_SQL_STREAM" (city VARCHAR(12), lo INTEGER, hi INTEGER, city_lo INTEGER, city_hi INTEGER);
CREATE OR REPLACE PUMP "P" AS INSERT INTO "DESTINATION_SQL_STREAM"
SELECT STREAM city, MIN(temp) OVER W1, MAX(temp) OVER W1, MIN(temp) OVER W2, MAX(temp) OVER W2 FROM "SOURCE_SQL_STREAM_001"
 WINDOW W1 AS (RANGE INTERVAL '1' DAY PRECEDING), W2 AS (PARTITION BY city RANGE INTERVAL '1' DAY PRECEDING);

-- Expectation: the developer guide's worked example: a window a key is opened by its first record and closed that long after.
CREATE OR REPLACE STREAM "DESTINATION_SQL_STREAM" (m TIMESTAMP, ticker VARCHAR(4), n BIGINT);
CREATE OR REPLACE PUMP "P" AS INSERT INTO "DESTINATION_SQL_STREAM"
SELECT STREAM FLOOR(event_time TO MINUTE), ticker_symbol, COUNT(ticker_symbol) FROM "SOURCE_SQL_STREAM_001"
 WINDOWED BY STAGGER (PARTITION BY FLOOR(event_time TO MINUTE), ticker_symbol RANGE INTERVAL '1' MINUTE);

-- Expectation: a row meets all rows of the reference table that fit.
CREATE OR REPLACE STREAM "DESTINATION_SQL_STREAM" (t VARCHAR(4), n VARCHAR(20));
CREATE OR REPLACE PUMP "P" AS INSERT INTO "DESTINATION_SQL_STREAM"
SELECT STREAM s.ticker_symbol, c."name" FROM "SOURCE_SQL_STREAM_001" AS s JOIN "COMPANY" AS c ON s.ticker_symbol = c.symbol;

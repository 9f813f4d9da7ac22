-- Expectation: refused: a stream has no end at which a row of the table is known to have met nothing.
CREATE OR REPLACE STREAM "OUT" (t VARCHAR(4), n VARCHAR(20));
CREATE OR REPLACE PUMP "P" AS INSERT INTO "OUT"
SELECT STREAM ticker_symbol, "name" FROM "SOURCE_SQL_STREAM_001" FULL JOIN "COMPANY" AS c ON ticker_symbol = c.symbol;

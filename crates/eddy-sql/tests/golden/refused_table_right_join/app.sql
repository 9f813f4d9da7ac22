-- Expectation: refused, with the join that keeps the stream's rows.
CREATE OR REPLACE STREAM "OUT" (t VARCHAR(4), n VARCHAR(20));
CREATE OR REPLACE PUMP "P" AS INSERT INTO "OUT"
SELECT STREAM ticker_symbol, "name" FROM "COMPANY" AS c RIGHT JOIN "SOURCE_SQL_STREAM_001" ON ticker_symbol = c.symbol;

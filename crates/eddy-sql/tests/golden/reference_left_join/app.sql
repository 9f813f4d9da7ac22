-- Expectation: with LEFT JOIN a row without a partner passes with NULL in the table's columns.
CREATE OR REPLACE STREAM "DESTINATION_SQL_STREAM" (t VARCHAR(4), n VARCHAR(20));
CREATE OR REPLACE PUMP "P" AS INSERT INTO "DESTINATION_SQL_STREAM"
SELECT STREAM ticker_symbol, "name" FROM "SOURCE_SQL_STREAM_001" LEFT JOIN "COMPANY" AS c ON ticker_symbol = c.symbol;

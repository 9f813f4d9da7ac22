-- Expectation: unquoted names are read in upper case; a quoted name keeps its case; the schema of the source has
-- no quotes, so its columns are found in any case.
CREATE OR REPLACE STREAM "DESTINATION_SQL_STREAM" ("Ticker" VARCHAR(4), lower_Case DOUBLE);
CREATE OR REPLACE PUMP "P" AS INSERT INTO "DESTINATION_SQL_STREAM"
select stream TICKER_SYMBOL, "price" from source_sql_stream_001 where Source_Sql_Stream_001.Price > 1;

-- Expectation: a byte order mark, carriage returns, words in any case, no STREAM, a query in parentheses, NOT NULL, OPTIONS
-- and DESCRIPTION change nothing.
create or replace stream "OUT" (k varchar(8) not null options (header 'x'), n integer) description 'what is told';
Create Or Replace Pump "P" Description 'of the pump' As Insert Into "OUT" (n, k) (Select n, k From "SOURCE_SQL_STREAM_001" where n>0);
-- the end, without a line feed
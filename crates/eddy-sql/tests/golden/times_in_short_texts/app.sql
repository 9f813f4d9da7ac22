-- Expectation: by hand. A time assigned to a VARCHAR(20) is cut behind its seconds, and is a time all the same. Y of a format is
-- Java's: the year of the week, which differs from the calendar's about January 1st.
CREATE OR REPLACE STREAM "TEMP" (s VARCHAR(20));
CREATE OR REPLACE STREAM "OUT" (s VARCHAR(20), d VARCHAR(20), y VARCHAR(30));
CREATE OR REPLACE PUMP "A" AS INSERT INTO "TEMP" SELECT STREAM t FROM "SOURCE_SQL_STREAM_001";
CREATE OR REPLACE PUMP "B" AS INSERT INTO "OUT"
SELECT STREAM s, TIMESTAMP_TO_CHAR('yyyy-MM-dd', s)||'T'||TIMESTAMP_TO_CHAR('HH:mm:ss', s), TIMESTAMP_TO_CHAR('YYYY-MM-dd''T''HH:mm:ss', CAST(s AS TIMESTAMP)) FROM "TEMP";

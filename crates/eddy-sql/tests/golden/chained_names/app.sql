-- Expectation: a name may have the schema before it; an alias is the only name of its relation.
CREATE OR REPLACE STREAM "DESTINATION_SQL_STREAM" (v DOUBLE);
CREATE OR REPLACE PUMP "P" AS INSERT INTO "DESTINATION_SQL_STREAM"
SELECT STREAM x."v" FROM "SOURCE_SQL_STREAM_001" AS x WHERE X.k = 'a';

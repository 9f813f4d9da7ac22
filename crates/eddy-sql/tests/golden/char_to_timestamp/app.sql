-- Expectation: the Reference: the template names the parts, what it does not name is the first of its kind.
CREATE OR REPLACE STREAM "DESTINATION_SQL_STREAM" (a TIMESTAMP, b TIMESTAMP, c TIMESTAMP, d VARCHAR(20));
CREATE OR REPLACE PUMP "P" AS INSERT INTO "DESTINATION_SQL_STREAM"
SELECT STREAM CHAR_TO_TIMESTAMP('yyyy-MM-dd hh:mm:ss', s), CHAR_TO_TIMESTAMP('yyyy-MM', s), CHAR_TO_TIMESTAMP('dd/MMM/yyyy:HH:mm:ss Z', '10/Oct/2000:13:55:36 -0700'),
 TIMESTAMP_TO_CHAR('yyyy/MM/dd HH:mm', ROWTIME) FROM "SOURCE_SQL_STREAM_001";

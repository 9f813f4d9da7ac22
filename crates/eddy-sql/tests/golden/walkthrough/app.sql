-- The application of the original walkthrough, as people have it: names, white space and comments.
-- Expectation: a forest gives 0 while it learns (64 records), so within a second all scores are
-- equal and rows stay in the order in which they came; "created" is ROWTIME; a second leaves when a
-- later record has passed its end.
-- Creates a temporary stream.
CREATE OR REPLACE STREAM "TEMP_STREAM" (
	        "iotName"        varchar (40),
	        "iotValue"   integer,
	        "ANOMALY_SCORE"  DOUBLE);
-- Creates another stream for application output.
CREATE OR REPLACE STREAM "DESTINATION_SQL_STREAM" (
	        "iotName"       varchar(40),
	        "iotValue"       integer,
	        "ANOMALY_SCORE"  DOUBLE,
	        "created" TimeStamp);
/* Computes an anomaly score for each record in the source stream
   with a random cut forest. */
CREATE OR REPLACE PUMP "STREAM_PUMP_1" AS INSERT INTO "TEMP_STREAM"
SELECT STREAM "iotName", "iotValue", ANOMALY_SCORE FROM
  TABLE(RANDOM_CUT_FOREST(
    CURSOR(SELECT STREAM * FROM "SOURCE_SQL_STREAM_001")
  )
);
-- Sorts records by descending anomaly score, inserts into the output stream.
CREATE OR REPLACE PUMP "OUTPUT_PUMP" AS INSERT INTO "DESTINATION_SQL_STREAM"
SELECT STREAM "iotName", "iotValue", ANOMALY_SCORE, ROWTIME FROM "TEMP_STREAM"
ORDER BY FLOOR("TEMP_STREAM".ROWTIME TO SECOND), ANOMALY_SCORE DESC;

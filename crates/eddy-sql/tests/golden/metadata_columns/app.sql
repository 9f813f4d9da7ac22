-- Expectation: the source has the record's arrival time, partition key, sequence number and shard beside the
-- schema's columns, when they are named.
CREATE OR REPLACE STREAM "DESTINATION_SQL_STREAM" (rt TIMESTAMP, arrived TIMESTAMP, pk VARCHAR(64), seq VARCHAR(128), shard VARCHAR(64));
CREATE OR REPLACE PUMP "P" AS INSERT INTO "DESTINATION_SQL_STREAM"
SELECT STREAM ROWTIME, APPROXIMATE_ARRIVAL_TIME, PARTITION_KEY, SEQUENCE_NUMBER, SHARD_ID FROM "SOURCE_SQL_STREAM_001";

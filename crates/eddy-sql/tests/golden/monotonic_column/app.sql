-- Expectation: by hand. MONOTONIC says that a column grows: it makes windows, which close when a later value has come, with their
-- end as ROWTIME. A row behind the latest value is late.
CREATE OR REPLACE STREAM "OUT" (k VARCHAR(8), total DOUBLE, m VARCHAR(30));
CREATE OR REPLACE PUMP "P" AS INSERT INTO "OUT"
SELECT STREAM "k", SUM("v"), TIMESTAMP_TO_CHAR('yyyy-MM-dd''T''HH:mm:ss', FLOOR(MONOTONIC("t") TO MINUTE)) FROM "SOURCE_SQL_STREAM_001"
GROUP BY FLOOR(MONOTONIC("t") TO MINUTE), "k";

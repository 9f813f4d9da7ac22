-- Expectation: the developer guide's example (app-hotspots-detection), its text as it stands: hotspots only once there are 17 points
-- near each other, one of them, with the box of the square of sides 0.4 that every second record is in. Numbers from the run;
-- run/hotspots.rs tests them against the definitions of density-based clustering.
CREATE OR REPLACE STREAM "DESTINATION_SQL_STREAM" (
    "x" DOUBLE, 
    "y" DOUBLE, 
    "is_hot" VARCHAR(4),
    HOTSPOTS_RESULT VARCHAR(10000)
); 
CREATE OR REPLACE PUMP "STREAM_PUMP" AS 
    INSERT INTO "DESTINATION_SQL_STREAM" 
    SELECT "x", "y", "is_hot", "HOTSPOTS_RESULT" 
    FROM TABLE (
        HOTSPOTS(   
            CURSOR(SELECT STREAM * FROM "SOURCE_SQL_STREAM_001"), 
            1000, 
            0.2, 
            17)
    );

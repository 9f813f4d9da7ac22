-- Expectation: a statement also ends where the next CREATE begins; all rows pass. Tabs and both
-- kinds of comments are white space.
CREATE OR REPLACE STREAM DEST (a VARCHAR(4) /* the symbol; with a semicolon */)
CREATE OR REPLACE PUMP	p STARTED AS INSERT INTO dest
	SELECT STREAM ticker_symbol FROM SOURCE_SQL_STREAM_001 -- no semicolon

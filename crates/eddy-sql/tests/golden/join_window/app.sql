-- Expectation: a trade meets the orders of the minute before it, that far included; the pair leaves when its later
-- row arrives, with that row's ROWTIME. The trade side has no window: an order after a trade does not meet it.
CREATE OR REPLACE STREAM "ORDERS" (id INTEGER, v DOUBLE);
CREATE OR REPLACE STREAM "TRADES" (id INTEGER, v DOUBLE);
CREATE OR REPLACE STREAM "OUT" (id INTEGER, o DOUBLE, t DOUBLE);
CREATE OR REPLACE PUMP "A" AS INSERT INTO "ORDERS" SELECT STREAM id, v FROM "SOURCE_SQL_STREAM_001" WHERE kind = 'o';
CREATE OR REPLACE PUMP "B" AS INSERT INTO "TRADES" SELECT STREAM id, v FROM "SOURCE_SQL_STREAM_001" WHERE kind = 't';
CREATE OR REPLACE PUMP "C" AS INSERT INTO "OUT" SELECT STREAM o.id, o.v, t.v
 FROM "ORDERS" OVER (RANGE INTERVAL '1' MINUTE PRECEDING) AS o JOIN "TRADES" AS t ON o.id = t.id;

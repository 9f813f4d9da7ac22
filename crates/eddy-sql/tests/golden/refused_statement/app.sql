-- Expectation: statements other than CREATE STREAM and PUMP are refused by name.
CREATE OR REPLACE FUNCTION f(x INTEGER) RETURNS INTEGER RETURN x;

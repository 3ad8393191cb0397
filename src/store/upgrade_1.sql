-- Version 1 to 2: messages remember the delivery state their gateway told last.
ALTER TABLE outbox ADD COLUMN dlr TEXT NOT NULL DEFAULT '';

-- Whether a rebuild from the store broke off or left something out: until one has gone through, what the database does not know is not garbage.
ALTER TABLE deployment ADD COLUMN rebuild_incomplete boolean NOT NULL DEFAULT false;

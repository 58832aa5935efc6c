"""The database: how to talk to Postgres, the embedded server, the migrations.

What belongs here: connections, the server in the data folder, `sql/` and what any text must be to be stored. What does not: what is
said over a connection. Each room writes its own statements.
"""

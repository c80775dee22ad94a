"""A session: its connections, its pipeline from ingest to egress, and the store of all sessions."""

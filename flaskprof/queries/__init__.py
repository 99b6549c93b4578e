"""What a request asks of databases: counted and timed, and for a capture kept by statement."""

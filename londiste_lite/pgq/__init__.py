"""Python consumer API for plain PgQ events, in the manner of Skytools."""

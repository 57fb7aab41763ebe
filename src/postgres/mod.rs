//! Floor 1: PostgreSQL access.

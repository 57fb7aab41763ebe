//! Floor 1: private PostgreSQL servers, for the demo and the tests.

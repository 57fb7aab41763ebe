//! Everything that lives longer than a request.
//!
//! | room | actor | owns |
//! |---|---|---|
//! | [`domain`] | one a database | its connection pool, probe and state |
//! | [`supervision`] | one | the death watch over every domain actor |
//! | [`coordinator`] | one a HTTP worker | the walks under way |
//! | [`rules`] | a thread each | the compiled rule engines |
//!
//! Above this floor nobody sees an `Addr`: every actor is reached through its handle, every message has a deadline, and
//! every queue has an end.

mod backoff;
pub mod coordinator;
pub mod domain;
pub mod rules;
pub mod supervision;

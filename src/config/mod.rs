//! Floor 1: service configuration, environment and secrets.

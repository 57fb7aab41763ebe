//! Floor 3: actors.

//! Floor 1: YAML with places.

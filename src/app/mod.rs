//! Floor 5: the composition root.

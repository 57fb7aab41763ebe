//! Floor 2: the walk over a compiled flow.

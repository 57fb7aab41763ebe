//! Floor 1: the rule language.

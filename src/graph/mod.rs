//! Floor 1: flow files, from YAML to a checked plan.

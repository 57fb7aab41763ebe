//! Tributary.
fn main() {}

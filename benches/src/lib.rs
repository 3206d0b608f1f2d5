//! Instances shared by the benches.

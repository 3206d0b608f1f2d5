//! Programs of evflex.

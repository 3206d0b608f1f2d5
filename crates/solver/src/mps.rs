//! Free-format MPS files.

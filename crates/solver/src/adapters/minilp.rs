//! microlp.

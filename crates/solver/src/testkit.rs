//! What every solver has to pass.

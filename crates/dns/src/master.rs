//! Master files.

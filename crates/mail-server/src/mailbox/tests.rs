//! The message store against its promises.

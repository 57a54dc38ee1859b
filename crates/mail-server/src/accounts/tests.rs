//! Accounts and logins on a real storage.

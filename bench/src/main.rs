//! `cargo xtask bench`: runs us and the peers side by side on the same work and
//! prints the ratio.

mod row;

fn main() {}

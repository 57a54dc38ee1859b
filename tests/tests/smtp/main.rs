//! SMTP over real sockets: our servers among each other, and foreign clients.

mod authentication;
mod bounds;
mod crash;
mod fixture;
mod foreign;
mod servers;

//! TLS settings for servers and clients (rustls with ring).

//! Session scripts over real sockets: what the client says, what the server answers.

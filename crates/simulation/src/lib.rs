//! A network of links and hosts in simulated time, seeded and replayable.

//! Pages and their API: the status page and metrics.

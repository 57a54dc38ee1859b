//! One host: its services started together from one configuration.

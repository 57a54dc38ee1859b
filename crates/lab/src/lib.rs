//! The small Internet: many hosts, scenarios, ladder diagrams.

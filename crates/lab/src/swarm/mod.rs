//! The lab's swarm: a tracker and peers as real nodes, each on a loopback address
//! of its own behind a last mile of its own, and what can be seen of them.

pub(crate) mod matrix;
mod node;
mod picture;
mod timeline;
mod view;

pub(crate) use node::{LastMile, Node, NodePlan, Role, original, track};
pub(crate) use picture::{Caption, moment, story};
pub(crate) use view::{Host, Seen, View};

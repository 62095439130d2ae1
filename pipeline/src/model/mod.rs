//! What travels between the stages: times, positions, records, rejections, rows.
//!
//! Stages never import one another; whatever two of them share is here.

pub mod correction;
pub mod missed;
pub mod time;
pub mod position;
pub mod record;
pub mod rejected;
pub mod space;

pub use correction::Correction;
pub use missed::{MissedWindows, WindowRun};
pub use position::{Offset, PartitionId, Position};
pub use record::{Header, Record};
pub use rejected::{DeadLetter, RejectReason};
pub use space::{BySpace, Space};
pub use time::{EventTime, MS_A_DAY, Zone};

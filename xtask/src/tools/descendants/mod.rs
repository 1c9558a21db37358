//! Which processes are this program's: all that it started, and all that those started.
//!
//! On Linux this program adopts what its descendants orphan (`PR_SET_CHILD_SUBREAPER`), so that
//! each of them is below it in the tree of processes, whatever it did to leave: another group,
//! another session, a parent that is gone, an empty environment. Which one started it is told by
//! its group; by a variable of its environment; and by a mark that stays when it clears that: a
//! resource limit, which every process inherits, and which nobody else sets to that number (the
//! time that a real-time process may take: others have no use for it). That a process raises this
//! limit, clears its environment, leaves its group and loses its parent is all that it takes to be
//! nobody's; it is still this program's, and [`since`] finds it.
//!
//! After this program's end nothing is below it any more: then the variable and the limit are what
//! is left to go by ([`end_run`]). Elsewhere than on Linux the group is all that is looked at.

mod found;
#[cfg(target_os = "linux")]
mod linux;
mod mark;
#[cfg(not(target_os = "linux"))]
mod other;

pub use self::found::{Before, Found, KILLED, kill, send};
#[cfg(target_os = "linux")]
pub use self::linux::{adopt_orphans, all_below, end_run, marking, now, of, since};
pub use self::mark::{Mark, Run, VARIABLE};
#[cfg(not(target_os = "linux"))]
pub use self::other::{adopt_orphans, all_below, end_run, marking, now, of, since};

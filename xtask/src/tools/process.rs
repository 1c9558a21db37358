//! Child processes that cannot outlive us.

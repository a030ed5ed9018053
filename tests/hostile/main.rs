//! Broken state, hostile neighbours and narrow limits: never a wrong object, never a build that is stuck or a panic; at
//! worst a compile that needn't have been, or a link that says why it stops.
//!
//! Contents are told apart by what `tests/fake/quick_cc.c` writes into objects and programs. What is struck at every
//! system call is swept by `scripts/sweep`.

#[path = "../space/mod.rs"]
mod space;

mod claims;
mod folders;
mod narrow;
mod quick;
mod records;
mod users;

//! objguard: a `cc`-compatible wrapper that makes parallel builds right.
//!
//! # The flow
//!
//! ```text
//! bin/objguard-cc ─ start
//!                  └ wrapper ┬─ config        what OBJGUARD_… asks for
//!                            ├─ compiler      which program is the real compiler
//!                            ├─ command       argv → Compile | Link | PassThrough   (options, response: its data)
//!                            ├─ identity      what that compiler is made of
//!                            └─ guard         the transactions: the only places that order effects
//!                                ├─ guard::compile   key → flight lock → record → skip, or scratch → publish → record → claim
//!                                └─ guard::link      claims → evidence → link → check → retry → publish
//! ```
//!
//! Planning is pure: `command`, `plan`, `request`, `evidence`, `depfile`, `scan` write nothing and spawn nothing.
//! What is on disk has one owner each: `state` (the folder and its trust), `lock`, `record`, `claims`, `scratch` (staging and
//! rename), `inputs` and `search` (what a compile read, and what it looked for in vain), `relocation` (build environments that
//! come and go). `process` alone spawns. `spelling` compares paths as they are written.
//! Arrows point one way: a module uses those named before it in this list, `guard` uses all of them, and nobody uses `guard`
//! but `wrapper` and the command.
//!
//! # On disk, beside an object `x.o`
//!
//! ```text
//! .objguard/                 0700 and ours, or not trusted (state)
//!   .gitignore CACHEDIR.TAG
//!   links                    one line a guarded link: who took what (claims)
//!   tmp/<id>/                scratch of one run, flock'ed by its owner (scratch)
//!   x.o/
//!     publish.lock           held for a few system calls (lock)
//!     <key>.flight           held while that request compiles (lock)
//!     <key>.record           what the request was made from (record)
//!     claims                 who asked for what, what was published (claims)
//!     v-<variant>/x.o        a variant that isn't at the path now (hard link taken before the rename)
//! ```
//!
//! In `$XDG_CACHE_HOME/objguard` or `~/.cache/objguard`, where there is one, and else in `.objguard/fingerprints`: a file for each
//! compiler and way of calling it (`identity::store`), and `inputs`, hashes of headers that were read before (`inputs::known`).

pub mod archive;
pub mod claims;
pub mod cli;
pub mod command;
pub mod compiler;
pub mod config;
pub mod depfile;
pub mod diagnostics;
pub mod dirty;
pub mod events;
pub mod evidence;
pub mod generator;
pub mod guard;
pub mod identity;
pub mod inputs;
pub mod libraries;
pub mod lineage;
pub mod links;
pub mod lock;
pub mod options;
pub mod plan;
pub mod process;
pub mod record;
pub mod relocation;
pub mod request;
pub mod response;
pub mod scan;
pub mod scratch;
pub mod search;
pub mod signals;
pub mod spelling;
pub mod stamp;
pub mod start;
pub mod state;
pub mod wrapper;

//! The promises about one compile and one link, with a scripted compiler that logs, fails, waits, writes half a file or
//! dies when it is told to. Tests and compiler shake hands through FIFOs; nothing depends on how long something takes.

#[path = "../space/mod.rs"]
mod space;

mod compiles;
mod links;
mod names;
mod refusals;
mod view;

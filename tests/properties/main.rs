//! Properties: what must hold of any record, log of claims, depfile, response file and command line, tried on many that
//! nobody wrote down, and on what the fuzzer (`scripts/fuzz`) found worth keeping.

mod corpus;
mod invariants;
mod lines;
mod state;
mod text;

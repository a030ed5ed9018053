//! Whether a recorded variant can stand for a request now.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use crate::dirty::Dirty;
use crate::inputs::{self, Standing};
use crate::record::{Bound, Record};
use crate::relocation;
use crate::request::{self, Key};
use crate::search;
use crate::stamp::Stamp;
use crate::state::ObjectState;

/// A record whose inputs are as they were.
#[derive(Debug)]
pub struct Hit {
    /// The record, with stamps as they are now.
    pub record: Record,
    /// Some stamps are newer than those on disk: it is worth writing again.
    pub restamped: bool,
    /// The newest modification time of an input, ns.
    pub newest_input: i64,
    /// It was made in another build environment, and whether that shows isn't known.
    pub unproved: bool,
}

/// Looks for the record of `key` and compares all that it was made from with what is there now. Changes nothing.
///
/// `coloured`: the caller's stderr wants colour. `places`: the build environments in the compile's include directories.
///
/// # Errors
/// The reason to compile.
pub fn lookup(
    state: &ObjectState,
    key: &Key,
    environment: &[(OsString, OsString)],
    coloured: bool,
    places: &[PathBuf],
) -> Result<Hit, Dirty> {
    let record = Record::read(&state.record(key)).ok_or(Dirty::NoRecord)?;
    if record.places == places {
        return standing(record, environment, coloured);
    }
    if let Some(why) = &record.never {
        return Err(Dirty::NeverSkipped(why.clone()));
    }
    let mut hit = standing(relocation::moved(record, places)?, environment, coloured)?;
    // Last: if anything else is another, the next object may not be bound.
    match &hit.record.bound {
        Bound::To(why) => return Err(Dirty::Bound(why.clone())),
        bound => hit.unproved = *bound == Bound::Unknown,
    }
    hit.restamped = true;
    Ok(hit)
}

/// [`lookup`] of a record that was read already. Relative names in it are looked up from the working directory.
///
/// # Errors
/// The reason to compile.
pub fn standing(
    mut record: Record,
    environment: &[(OsString, OsString)],
    coloured: bool,
) -> Result<Hit, Dirty> {
    if let Some(why) = &record.never {
        return Err(Dirty::NeverSkipped(why.clone()));
    }
    if !record.stderr.is_empty() {
        let same = request::diagnostics_digest(environment) == record.diagnostics;
        if !same || (coloured && !record.coloured) {
            return Err(Dirty::Diagnostics);
        }
    }
    let mut restamped = false;
    let mut newest_input = i64::MIN;
    let mut buffer = Vec::new();
    let mut present = Vec::with_capacity(record.inputs.len());
    let settled = search::settled_clock();
    for input in &mut record.inputs {
        match input.standing(&mut buffer) {
            Standing::Same => {
                present.push((input.stamp.dev, input.stamp.ino));
            }
            // A stamp that is too new may hide a further change: such a file is read again next time.
            Standing::Touched(stamp) => {
                present.push((stamp.dev, stamp.ino));
                if stamp.older_than(settled) {
                    input.stamp = stamp;
                    restamped = true;
                }
                newest_input = newest_input.max(stamp.mtime);
            }
            Standing::Dirty(dirty) => return Err(dirty),
        }
        newest_input = newest_input.max(input.stamp.mtime);
    }
    for side in &record.sides {
        let same = Stamp::of(&side.path).is_ok_and(|s| s == side.stamp)
            || (fs::metadata(&side.path).is_ok_and(|m| m.is_file())
                && inputs::hash_file(&side.path).is_ok_and(|h| h == side.hash));
        if !same {
            return Err(Dirty::SideOutput(side.path.clone()));
        }
    }
    match record
        .search
        .standing(&record.inputs, &present, &record.places)
    {
        search::Standing::Same => {}
        search::Standing::Settled(watched) => {
            restamped |= watched != record.search.watched;
            record.search.watched = watched;
        }
        search::Standing::Dirty(dirty) => return Err(dirty),
    }
    Ok(Hit {
        record,
        restamped,
        newest_input,
        unproved: false,
    })
}

//! What a change of an archive starts from, and whether others were at it meanwhile.

use std::collections::HashSet;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use anyhow::bail;

use crate::archive::{Archive, Operation, members};
use crate::claims::{Claim, Log};
use crate::config::Ambiguous;
use crate::evidence::{self, Verdict};
use crate::guard::held::content_of;
use crate::guard::taken::flags_of_variants;
use crate::guard::{Session, cannot, life};
use crate::inputs;
use crate::lineage::{self, Step};
use crate::lock::{self, Mode};
use crate::request::Variant;
use crate::stamp::Stamp;
use crate::state::ObjectState;

/// What a change starts from.
#[derive(Clone, Debug, Default)]
pub(super) struct Base {
    /// The file that holds it; `None`: there is no archive.
    pub(super) file: Option<PathBuf>,
    pub(super) variant: Option<Variant>,
    /// Somebody else made it, or may have, while our own build was running: the path isn't ours alone.
    pub(super) contested: bool,
}

impl Base {
    /// The archive at `path`, without knowing more of it.
    pub(super) fn unknown(path: &Path) -> Base {
        Base {
            file: path.exists().then(|| path.to_owned()),
            ..Base::default()
        }
    }

    /// What the own lineage knows as the archive at `path`; the caller holds its flight lock.
    pub(super) fn find(
        session: &Session<'_>,
        state: &ObjectState,
        path: &Path,
    ) -> anyhow::Result<Base> {
        let _shared = lock::acquire(&state.publish_lock(), Mode::Shared)
            .map_err(cannot("lock", &state.publish_lock()))?;
        let unknown = Base::unknown(path);
        let Ok(stamp) = Stamp::of(path) else {
            return Ok(unknown);
        };
        let log = Log::read(&state.claims()).map_err(cannot("read", &state.claims()))?;
        let there = content_of(&log, path, &stamp).map_err(cannot("read", path))?;
        let Some(there) = there else {
            return Ok(unknown);
        };
        let at_path = Base {
            variant: Some(there),
            ..unknown
        };
        let claims: Vec<Claim> = log.claims().cloned().collect();
        let object = evidence::Object {
            claims: &claims,
            flags: flags_of_variants(state, &log),
            shortened: log.lost_before,
            lost: log.lost_among_claims(),
        };
        let hash = |v: &Variant| log.newest_publish(v).map(|p| p.hash);
        match evidence::decide(&session.lineage, &[object], &[], &life())[0] {
            Verdict::Take(own) if own != there && hash(&own) != hash(&there) => {
                let kept = state.kept(&own);
                if inputs::hash_file(&kept).is_ok_and(|h| Some(h) == hash(&own)) {
                    return Ok(Base {
                        file: Some(kept),
                        variant: Some(own),
                        contested: true,
                    });
                }
                Ok(Base {
                    contested: true,
                    ..at_path
                })
            }
            Verdict::Take(_) => {
                let claim = claims.iter().rfind(|c| c.variant == there);
                Ok(Base {
                    contested: claim.is_some_and(|c| meanwhile(session, c)),
                    ..at_path
                })
            }
            Verdict::Unclaimed => Ok(at_path),
            Verdict::Ambiguous => Ok(Base {
                contested: true,
                ..at_path
            }),
        }
    }

    /// Appending to what others made meanwhile may give two members of one name, of which a linker takes the first: theirs.
    pub(super) fn check_names(
        &self,
        session: &Session<'_>,
        command: &Archive,
    ) -> anyhow::Result<()> {
        if command.operation != Operation::Append
            || !self.contested
            || session.config.ambiguous == Ambiguous::Newest
        {
            return Ok(());
        }
        let Some(file) = &self.file else {
            return Ok(());
        };
        let there = members::names(file).map_err(cannot("read", file))?;
        if let Some(name) = member_names(command).find(|name| there.iter().any(|t| t == name)) {
            bail!(
                "cannot append to `{}`: another build put a `{}` into it meanwhile, and a link would take that one; build one after the other, give each an archive of its own, or set OBJGUARD_AMBIGUOUS=newest to append all the same",
                command.path().display(),
                String::from_utf8_lossy(name)
            );
        }
        Ok(())
    }

    /// Whether no member stays: the command replaces one of each name.
    pub(super) fn is_replaced_by(&self, command: &Archive) -> bool {
        let Some(file) = &self.file else {
            return false;
        };
        let ours: HashSet<&[u8]> = member_names(command).collect();
        command.operation == Operation::Replace
            && members::names(file).is_ok_and(|all| all.iter().all(|n| ours.contains(n.as_slice())))
    }

    /// Makes the archive at `path` what the change starts from, in a file of its own: GNU ar writes through hard links, and
    /// the kept variant or an installed copy may be one. `temporary` is on the same file system.
    pub(super) fn put(&self, path: &Path, temporary: &Path) -> anyhow::Result<()> {
        match &self.file {
            Some(file) => {
                fs::copy(file, temporary).map_err(cannot("copy", file))?;
                crate::scratch::publish(temporary, path).map_err(cannot("write", path))
            }
            None => {
                let _ = fs::remove_file(path);
                Ok(())
            }
        }
    }
}

/// The names under which a command's files become members.
fn member_names(command: &Archive) -> impl Iterator<Item = &[u8]> {
    let files = command.members.iter();
    files.filter_map(|at| Some(Path::new(&command.words.args[*at]).file_name()?.as_bytes()))
}

/// Whether a claim was made by others while our own build was running.
fn meanwhile(session: &Session<'_>, claim: &Claim) -> bool {
    let (ours, theirs) = (&session.lineage, &claim.lineage.steps);
    if claim.lineage.host != ours.host {
        return true;
    }
    let alive = life();
    let mut chain = ours.steps.iter().enumerate();
    let common = chain.find_map(|(i, s)| Some((i, theirs.iter().position(|t| t.same_process(s))?)));
    let Some((i, t)) = common else {
        return theirs.iter().any(alive);
    };
    if !ours.steps[i].same_thread(&theirs[t]) {
        return true;
    }
    let branch = |steps: &[Step], n: usize| n.checked_sub(1).map(|n| steps[n]);
    let begun = match branch(&ours.steps, i) {
        Some(branch) => branch.start.saturating_mul(lineage::tick_ns()),
        None => ours.began,
    };
    claim.at > begun || branch(theirs, t).is_some_and(|b| alive(&b))
}

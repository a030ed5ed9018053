//! The protocol of `src/guard`, step by step. Between two steps any other builder may run, or this one may be killed.
//!
//! What nobody can see from outside is one step with what comes next: what happens under the publish lock and is read only
//! under it, and what touches nothing shared.

use objguard::evidence::Verdict;

use crate::evidence::{Memory, number};
use crate::state::{
    At, Builder, Command, Content, Inode, Line, Linked, Look, Mutation, Scene, State, Variant, Who,
    Work,
};

/// The protocol as it is, or with one mutation.
pub struct World<'a> {
    pub scene: &'a Scene,
    pub mutation: Option<Mutation>,
    pub memory: Memory,
}

impl World<'_> {
    fn is(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }

    /// The state after the step that `who` takes next; `None`: it waits for somebody, or is done.
    pub fn step(&mut self, state: &State, who: Who) -> Option<State> {
        let mut next = *state;
        next.builders[who as usize].at = self.advance(&mut next, who)?;
        Some(next)
    }

    /// `who` is killed: what it held is free. It runs its command once more, or never.
    pub fn kill(&self, state: &State, who: Who) -> Option<[State; 2]> {
        let builder = state.builders[who as usize];
        let first = self.scene.first_step(who, builder.command);
        if state.kills == 0 || builder.at == first || matches!(builder.at, At::End | At::Stopped) {
            return None;
        }
        let mut killed = *state;
        killed.kills -= 1;
        killed.publish = killed.publish.filter(|holder| *holder != who);
        for flight in &mut killed.flights {
            *flight = flight.filter(|holder| *holder != who);
        }
        let mut again = killed;
        let redone = &mut again.builders[who as usize];
        (redone.at, redone.began) = (first, state.now);
        killed.builders[who as usize].at = At::End;
        Some([again, killed])
    }

    fn advance(&mut self, s: &mut State, who: Who) -> Option<At> {
        let Builder {
            command, at, began, ..
        } = s.builders[who as usize];
        let variant = match self.scene.command(who, command) {
            Some(Command::Compile(variant)) => variant,
            _ => 0,
        };
        let slot = variant.saturating_sub(1) as usize;
        let locked = s.publish.is_some() && !self.is(Mutation::NoPublishLock);
        let next = match at {
            At::End | At::Stopped => return None,
            At::LookUp | At::LookAgain if s.records[slot] => At::Skip {
                flight: at == At::LookAgain,
            },
            At::LookUp => self.fly(s, who, slot),
            At::LookAgain => At::Compiling,
            At::WaitForFlight if s.flights[slot].is_some() => return None,
            At::WaitForFlight => At::LookUp,
            At::Skip { .. } | At::Keep { .. } | At::LinkDecide { .. } | At::LinkPrivate(_)
                if locked =>
            {
                return None;
            }
            At::Skip { flight } => self.skip(s, who, variant, flight),
            At::Compiling => At::Keep {
                new: s.create(Content::Whole(variant)),
            },
            At::Keep { new } => {
                s.publish = Some(who);
                self.keep(s, variant);
                At::Tell(Work {
                    new,
                    again: false,
                    flight: true,
                })
            }
            At::Tell(work) => {
                if !self.is(Mutation::NoPublishLine) && !self.is(Mutation::PublishLineAfterRename) {
                    self.memory.write(s, Line::Publish(variant, work.new));
                }
                At::Rename(work)
            }
            At::Rename(work) if self.is(Mutation::WriteInPlace) => {
                let inode = *s.path.get_or_insert(work.new);
                s.files[inode as usize] = Content::Torn;
                At::Half(work)
            }
            At::Rename(work) => {
                s.path = Some(work.new);
                self.renamed(work)
            }
            At::Half(work) => {
                let inode = s.path.expect("it is half written");
                s.files[inode as usize] = Content::Whole(variant);
                self.renamed(work)
            }
            At::KeepLate(work) => {
                self.keep_current(s, variant);
                done(work)
            }
            At::TellLate(work) => {
                self.memory.write(s, Line::Publish(variant, work.new));
                done(work)
            }
            At::Record => {
                s.records[slot] = true;
                At::Claim {
                    flight: true,
                    skipped: false,
                }
            }
            At::Claim { skipped, .. } => {
                let unsaid =
                    self.is(Mutation::NoClaim) || (skipped && self.is(Mutation::NoClaimOnSkip));
                if !unsaid {
                    let (inode, at) = (s.path.unwrap_or(0), s.now + 1);
                    self.memory.write(
                        s,
                        Line::Claim {
                            variant,
                            inode,
                            who,
                            began,
                            at,
                        },
                    );
                }
                At::Return
            }
            At::Return => {
                s.publish = s.publish.filter(|holder| *holder != who);
                s.flights[slot] = s.flights[slot].filter(|holder| *holder != who);
                s.builders[who as usize].wants = variant;
                self.next_command(s, who)
            }
            At::LinkStat => At::LinkLog(Look {
                path: s.path,
                ..Look::default()
            }),
            At::LinkLog(look) => self.read_log(s, look),
            At::LinkDecide { again } => self.decide(s, who, again),
            At::LinkOpen(look) => At::LinkOpenAgain(look, read(s, &look)),
            At::LinkOpenAgain(look, first) => At::LinkCheck(look, first, read(s, &look)),
            At::LinkCheck(look, first, second) => self.check(s, look, first, second),
            At::LinkPrivate(look) => self.private(s, look),
            At::LinkDone { took } => {
                let Content::Whole(took) = took else {
                    unreachable!("a promise is broken before this")
                };
                let at = s.now + 1;
                self.memory.linked(
                    s,
                    Linked {
                        who,
                        took,
                        began,
                        at,
                    },
                );
                self.next_command(s, who)
            }
        };
        Some(next)
    }

    fn next_command(&self, s: &mut State, who: Who) -> At {
        let builder = &mut s.builders[who as usize];
        builder.command += 1;
        builder.began = s.now;
        self.scene.first_step(who, builder.command)
    }

    fn fly(&self, s: &mut State, who: Who, slot: usize) -> At {
        if s.flights[slot].is_some() && !self.is(Mutation::NoFlightLock) {
            return At::WaitForFlight;
        }
        s.flights[slot] = Some(who);
        At::LookAgain
    }

    fn skip(&mut self, s: &mut State, who: Who, variant: Variant, flight: bool) -> At {
        if self.is(Mutation::SkipUnseen) || s.at_path() == Content::Whole(variant) {
            s.publish = Some(who);
            return At::Claim {
                flight,
                skipped: true,
            };
        }
        match whole_kept(s, variant) {
            Some(new) => {
                s.publish = Some(who);
                self.keep(s, variant);
                At::Tell(Work {
                    new,
                    again: true,
                    flight,
                })
            }
            // The object is lost: it is compiled again.
            None if flight => At::Compiling,
            None => {
                let slot = variant as usize - 1;
                match self.fly(s, who, slot) {
                    // The record is there; only under the flight lock does it count that the object isn't.
                    At::LookAgain => At::Skip { flight: true },
                    wait => wait,
                }
            }
        }
    }

    fn keep(&mut self, s: &mut State, variant: Variant) {
        if !self.is(Mutation::NoKeep) && !self.is(Mutation::KeepAfterRename) {
            self.keep_current(s, variant);
        }
    }

    /// Keeps the variant at the path under its own name, if it is one of ours and another than what comes.
    fn keep_current(&mut self, s: &mut State, coming: Variant) {
        if s.log.0 == 0 || self.memory.only_variant(s.log) == Some(coming) {
            return;
        }
        if let Some(there) = self.memory.variant_at_path(s)
            && there != coming
        {
            s.kept[there as usize - 1] = s.path;
        }
    }

    fn renamed(&self, work: Work) -> At {
        if self.is(Mutation::KeepAfterRename) {
            At::KeepLate(work)
        } else if self.is(Mutation::PublishLineAfterRename) {
            At::TellLate(work)
        } else {
            done(work)
        }
    }

    fn read_log(&mut self, s: &State, look: Look) -> At {
        let look = Look {
            log: s.log,
            as_it_is: true,
            ..look
        };
        if s.log.0 == 0 || self.is(Mutation::NoLookup) {
            return At::LinkOpen(look);
        }
        match self.memory.only_variant(s.log) {
            Some(wants) => At::LinkOpen(Look { wants, ..look }),
            None => At::LinkDecide { again: false },
        }
    }

    fn decide(&mut self, s: &State, who: Who, again: bool) -> At {
        let there = self.memory.variant_at_path(s);
        let wants = match self.memory.only_variant(s.log) {
            Some(only) => only,
            None => match self.memory.decide(s, who) {
                Verdict::Take(variant) => number(variant),
                Verdict::Unclaimed => there.unwrap_or(0),
                Verdict::Ambiguous => return At::Stopped,
            },
        };
        let mut look = Look {
            path: s.path,
            log: s.log,
            wants,
            as_it_is: true,
            last: false,
        };
        match there {
            Some(there) if there == wants => {}
            // What is there is the user's word.
            None if s.path.is_some() => look.wants = 0,
            _ if whole_kept(s, wants).is_some() => look.as_it_is = false,
            _ => return At::Stopped,
        }
        match again {
            false => At::LinkOpen(look),
            true if self.is(Mutation::RetryFromPath) => At::LinkOpen(Look { last: true, ..look }),
            true => At::LinkPrivate(look),
        }
    }

    fn check(&mut self, s: &State, look: Look, first: Content, second: Content) -> At {
        let changed =
            look.as_it_is && (s.path != look.path || self.memory.published_since(s.log, look.log));
        if changed && !look.last && !self.is(Mutation::NoCheck) {
            At::LinkDecide { again: true }
        } else if first == Content::Missing || second == Content::Missing {
            At::Stopped
        } else {
            let took = if first == second {
                first
            } else {
                Content::Torn
            };
            At::LinkDone { took }
        }
    }

    fn private(&mut self, s: &State, look: Look) -> At {
        let there = self.memory.variant_at_path(s);
        let at_path = look.wants == 0 || there == Some(look.wants) || there.is_none();
        let took = if at_path || self.is(Mutation::PrivateUnseen) {
            s.at_path()
        } else {
            match whole_kept(s, look.wants) {
                Some(inode) => s.files[inode as usize],
                None => return At::Stopped,
            }
        };
        match took {
            Content::Missing => At::Stopped,
            took => At::LinkDone { took },
        }
    }
}

fn done(work: Work) -> At {
    if work.again {
        At::Claim {
            flight: work.flight,
            skipped: true,
        }
    } else {
        At::Record
    }
}

/// The file that keeps the variant, if it is what it says.
fn whole_kept(s: &State, variant: Variant) -> Option<Inode> {
    s.kept[variant.checked_sub(1)? as usize]
        .filter(|inode| s.files[*inode as usize] == Content::Whole(variant))
}

/// What the linker reads when it opens the object now.
fn read(s: &State, look: &Look) -> Content {
    if look.as_it_is {
        return s.at_path();
    }
    s.kept[look.wants as usize - 1].map_or(Content::Missing, |inode| s.files[inode as usize])
}

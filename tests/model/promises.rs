//! What must hold in every state, whoever is where.

use crate::state::{At, Command, Content, Scene, State, Who};

/// A promise of DESIGN section 3; 7 also stands for a build that stops, or stands still, for no reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Promise {
    pub number: u8,
    pub broken: &'static str,
}

/// The first promise that is broken in this state, if any.
pub fn broken(s: &State, scene: &Scene) -> Option<Promise> {
    let promise = |number, broken| Some(Promise { number, broken });
    if s.at_path() == Content::Torn {
        return promise(1, "a part of an object is at the path");
    }
    let mut compiling = [0; 3];
    for (who, builder) in s.builders.iter().enumerate() {
        let variant = match scene.command(who as Who, builder.command) {
            Some(Command::Compile(variant)) => variant,
            _ => 0,
        };
        match builder.at {
            At::Return if s.at_path() != Content::Whole(variant) => {
                return promise(
                    2,
                    "a compile is about to return 0, and the path doesn't hold what it compiles to",
                );
            }
            At::Compiling if s.publish == Some(who as Who) => {
                return promise(
                    5,
                    "a compiler works while its builder holds the publish lock",
                );
            }
            At::Compiling => compiling[variant as usize] += 1,
            At::LinkDone {
                took: Content::Torn,
            } => {
                return promise(
                    4,
                    "the linker opened one object twice and read two contents",
                );
            }
            At::LinkDone { took }
                if builder.wants != 0 && took != Content::Whole(builder.wants) =>
            {
                return promise(3, "a link took a variant that its builder didn't ask for");
            }
            At::Stopped => return promise(7, "a link stopped for no reason"),
            _ => {}
        }
    }
    if compiling.iter().any(|n| *n > 1) {
        return promise(5, "one request is compiled twice at a time");
    }
    None
}

/// Nobody can go on: whoever isn't done waits for ever.
pub fn stuck(s: &State) -> Option<Promise> {
    let waits = s.builders.iter().any(|builder| builder.at != At::End);
    let held = s.publish.is_some() || s.flights.iter().any(Option::is_some);
    (waits || held).then_some(Promise {
        number: 7,
        broken: "a builder waits for ever, or a lock stays",
    })
}

//! Command lines: what is planned differs from the user's in the words that must, and means the same.

#[path = "../command_driver/lines.rs"]
mod pieces;

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use pieces::{Dice, compile_line, link_line};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::invariants::{self, DRIVERS};

/// Numbers out of a list; then none but 0.
struct Drawn(std::vec::IntoIter<u32>);

impl Dice for Drawn {
    fn below(&mut self, limit: usize) -> usize {
        self.0.next().unwrap_or(0) as usize % limit
    }
}

fn sound(args: &[OsString]) {
    for (driver, dialect) in DRIVERS {
        invariants::line(args, driver, dialect, &|_: &Path| {
            Err(io::ErrorKind::NotFound.into())
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_usual_compile_is_planned_soundly(numbers in vec(any::<u32>(), 16)) {
        sound(&compile_line(&mut Drawn(numbers.into_iter())));
    }

    #[test]
    fn a_usual_link_is_planned_soundly(numbers in vec(any::<u32>(), 16)) {
        sound(&link_line(&mut Drawn(numbers.into_iter())));
    }

    #[test]
    fn any_words_are_planned_soundly(bytes in vec(any::<u8>(), 0..80)) {
        invariants::command_line(&bytes);
    }

    #[test]
    fn words_of_any_order_are_planned_soundly(numbers in vec(any::<u32>(), 24)) {
        // The words of two lines, shuffled: options meet values that aren't theirs.
        let mut dice = Drawn(numbers.into_iter());
        let mut words = compile_line(&mut dice);
        words.extend(link_line(&mut dice));
        words.push(OsString::from_vec(vec![0xff]));
        let mut mixed = Vec::new();
        while !words.is_empty() && mixed.len() < 9 {
            mixed.push(words.swap_remove(dice.below(words.len())));
        }
        sound(&mixed);
    }
}

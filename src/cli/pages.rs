//! `objguard completions` and `objguard man`: made from the command line's own definition, so they can't disagree with it.

use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Command, value_parser};
use clap_complete::Shell;

use super::{application, cannot, print};
use crate::process::Ended;

pub(super) fn completions_command() -> Command {
    Command::new("completions")
        .about("Print a completion script for a shell")
        .arg(
            Arg::new("shell")
                .value_name("SHELL")
                .required(true)
                .value_parser(value_parser!(Shell)),
        )
}

pub(super) fn completions(given: &ArgMatches) -> anyhow::Result<Ended> {
    let shell = given.get_one::<Shell>("shell").expect("clap demands it");
    let mut script = Vec::new();
    clap_complete::generate(*shell, &mut application(), "objguard", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(Ended::Code(0))
}

pub(super) fn man_command() -> Command {
    Command::new("man")
        .about("Print the manual page, or write all of them to a folder")
        .arg(
            Arg::new("dir")
                .value_name("DIR")
                .value_parser(value_parser!(PathBuf))
                .help("Write objguard.1, objguard-run.1, … there"),
        )
}

pub(super) fn man(given: &ArgMatches) -> anyhow::Result<Ended> {
    let mut whole = application().disable_help_subcommand(true);
    whole.build();
    let Some(dir) = given.get_one::<PathBuf>("dir") else {
        print(&String::from_utf8_lossy(&page(&whole, "objguard")?))?;
        return Ok(Ended::Code(0));
    };
    write(dir, &whole, "objguard")?;
    for subcommand in whole.get_subcommands() {
        let name = format!("objguard-{}", subcommand.get_name());
        write(dir, subcommand, &name)?;
    }
    Ok(Ended::Code(0))
}

fn write(dir: &Path, command: &Command, name: &str) -> anyhow::Result<()> {
    let file = dir.join(format!("{name}.1"));
    std::fs::write(&file, page(command, name)?).map_err(cannot("write", &file))
}

fn page(command: &Command, name: &str) -> anyhow::Result<Vec<u8>> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone())
        .title(name.to_uppercase())
        .manual("objguard")
        .source(format!("objguard {}", env!("CARGO_PKG_VERSION")))
        .render(&mut page)?;
    Ok(page)
}

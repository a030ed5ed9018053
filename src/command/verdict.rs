//! What the words that `scan.rs` gathered add up to.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::scan::Scan;
use super::{
    Compile, DepRequest, Dialect, Language, Link, Placement, Reason, SideOutput, Stage, Verdict,
    Words, names,
};

impl Scan<'_> {
    /// What the words add up to; `Err`: the command runs as written.
    pub(super) fn verdict(self, words: &Words) -> Result<Verdict, Reason> {
        if let Some(input) = self
            .inputs
            .iter()
            .map(|input| self.args[input.word].as_os_str())
            .find(|path| {
                let path = path.as_bytes();
                path == b"-" || path.starts_with(b"@") || is_special(path)
            })
        {
            return Err(match input.as_bytes() {
                b"-" => Reason::Stdin,
                [b'@', ..] => Reason::NoResponseFile(input.to_owned()),
                _ => Reason::SpecialFile(input.to_owned()),
            });
        }
        if let Some(output) = &self.output {
            match output.path {
                b"-" => return Err(Reason::SpecialFile(output.path().into())),
                path if is_special(path) => return Err(Reason::SpecialFile(output.path().into())),
                b"" | [.., b'/'] => return Err(Reason::OutputName(output.path().into())),
                _ => {}
            }
        }
        let headers = self
            .inputs
            .iter()
            .any(|input| input.language.is_some_and(Language::is_header));
        match self.stage {
            Some(stage) => self.compile(words, stage),
            None if headers && self.links => Err(Reason::PrecompiledHeader),
            None if headers => self.compile(words, Stage::Object),
            None => self.link(words),
        }
    }

    fn compile(mut self, words: &Words, stage: Stage) -> Result<Verdict, Reason> {
        let mut sources = self
            .inputs
            .iter()
            .filter_map(|input| Some((input.word, input.language?)));
        let Some((source, language)) = sources.next() else {
            return Err(Reason::NoSource);
        };
        if sources.next().is_some() {
            return Err(Reason::SeveralSources);
        }
        if let Some(other) = self.inputs.iter().find(|input| input.language.is_none()) {
            return Err(Reason::OtherInput(self.args[other.word].clone()));
        }
        let name = self.args[source].as_bytes();
        if language == Language::Other {
            return Err(Reason::Language(self.args[source].clone()));
        }
        if stage == Stage::Assembly && (language.is_assembler() || language.is_header()) {
            return Err(Reason::NothingToDo);
        }
        if self.dep_words.is_empty()
            && let Some(&word) = self.depfile_words.first()
        {
            return Err(Reason::DependencyOption(self.args[word].clone()));
        }
        let dialect = self.dialect;
        let given = self.output.as_ref().map(|output| output.path);
        let output = match (&self.output, stage) {
            (Some(output), _) => PathBuf::from(output.path()),
            (None, Stage::Object) if language.is_header() => match dialect {
                Dialect::Gcc => PathBuf::from(OsStr::from_bytes(&[name, b".gch"].concat())),
                // `.gch` or `.pch`: it depends on the release.
                Dialect::Clang => return Err(Reason::PrecompiledHeader),
            },
            (None, Stage::Object) => names::output(name, b".o", dialect),
            (None, Stage::Assembly) => names::output(name, b".s", dialect),
        };
        if same_spelling(&self.args[source], &output) {
            return Err(Reason::OutputIsInput(self.args[source].clone()));
        }

        if self.several_outputs {
            self.in_place.get_or_insert(Reason::SeveralOutputs);
        }
        if language.is_header() {
            self.never.get_or_insert(Reason::PrecompiledHeader);
            if dialect == Dialect::Clang {
                self.in_place.get_or_insert(Reason::PrecompiledHeader);
            }
        }
        if let Some(word) = self.listed_input
            && !language.runs_preprocessor()
        {
            self.never(word, "the file it names is in no dependency list");
        }
        let side_outputs = self.side_outputs(name, given);
        let depfile = if language.runs_preprocessor() {
            self.dep_request(name, given)
        } else {
            None
        };
        if let Some(request) = &depfile {
            let file = request.file.as_os_str().as_bytes();
            if file == b"-" || file.is_empty() || is_special(file) {
                self.in_place
                    .get_or_insert(Reason::SpecialFile(request.file.clone().into()));
            }
            if request.file == output || same_spelling(&self.args[source], &request.file) {
                let why = "the dependency file is the source or the output";
                self.in_place
                    .get_or_insert(Reason::in_place(request.file.as_os_str(), why));
            }
        }
        let in_place = self.in_place.take().or(self.compile_in_place.take());
        let reuse = match self.never.take().or(in_place.clone()) {
            Some(reason) => Err(reason),
            None => Ok(()),
        };
        let placement = match in_place {
            Some(reason) => Placement::InPlace(reason),
            None if self.named.is_some() => Placement::Named,
            None => Placement::Staged,
        };
        let depfile_allowed =
            language.runs_preprocessor() && !matches!(placement, Placement::InPlace(_));
        Ok(Verdict::Compile(Box::new(Compile {
            words: words.clone(),
            stage,
            source,
            language,
            output,
            output_words: self.output.map(|output| output.words),
            depfile,
            depfile_words: self.depfile_words,
            search: self.search,
            forced_includes: self.forced_includes,
            probe_flags: self.probe_flags,
            native: self.native,
            reuse,
            placement,
            side_outputs,
            depfile_allowed,
            append_at: self.append_at,
            colour: self.colour,
            lto: self.lto,
            debug: self.debug,
        })))
    }

    fn side_outputs(&self, source: &[u8], output: Option<&[u8]>) -> Vec<SideOutput> {
        let mut outputs = Vec::new();
        if let Some(word) = self.split_dwarf {
            let path = names::beside(source, output, b".dwo", self.dialect);
            outputs.push(SideOutput {
                path,
                option: self.args[word].clone(),
            });
        }
        for &(side, word) in &self.sides {
            let path = names::side(side, source, output, self.dialect);
            outputs.push(SideOutput {
                path,
                option: self.args[word].clone(),
            });
        }
        for (path, word) in &self.written {
            outputs.push(SideOutput {
                path: path.clone(),
                option: self.args[*word].clone(),
            });
        }
        outputs
    }

    fn dep_request(&self, source: &[u8], output: Option<&[u8]>) -> Option<DepRequest> {
        if self.dep_words.is_empty() {
            return None;
        }
        let (file, file_words) = match &self.dep_file {
            Some(file) => (PathBuf::from(file.path()), Some(file.words.clone())),
            None => (names::depfile(source, output, self.dialect), None),
        };
        Some(DepRequest {
            system: self.dep_system,
            file,
            file_words,
            has_target: self.dep_target,
            phony: self.dep_phony,
            words: self.dep_words.clone(),
        })
    }

    fn link(mut self, words: &Words) -> Result<Verdict, Reason> {
        if let Some(word) = self.linker_asks {
            return Err(Reason::aside(
                &self.args[word],
                "it asks the linker for information",
            ));
        }
        let sources = self.inputs.iter().any(|input| input.language.is_some());
        if !sources && self.link_inputs.is_empty() && self.libraries.is_empty() {
            return Err(Reason::NoInput);
        }
        let output = match &self.output {
            Some(output) => PathBuf::from(output.path()),
            None => PathBuf::from("a.out"),
        };
        let mut paths = self
            .inputs
            .iter()
            .map(|input| self.args[input.word].as_os_str());
        if let Some(same) = paths.find(|path| same_spelling(path, &output)) {
            return Err(Reason::OutputIsInput(same.to_owned()));
        }
        // A piece of `-Wl,` that names the output is the value of an option we don't know; the name that `Path` gives `x.c/.` is
        // another word to the driver.
        self.link_inputs.retain(|input| {
            let path = input.path.as_os_str();
            !same_spelling(path, &output) && !is_folder(path.as_bytes())
        });
        if self.several_outputs {
            self.in_place.get_or_insert(Reason::SeveralOutputs);
        }
        let other = self
            .inputs
            .iter()
            .find(|input| input.language == Some(Language::Other));
        let mut in_place = self.in_place.take().or(self.link_in_place.take());
        if let Some(input) = other {
            in_place = in_place.or(Some(Reason::Language(self.args[input.word].clone())));
        }
        if sources || self.lto {
            in_place = in_place.or(self.named.take());
        }
        if sources {
            in_place = in_place.or(self.compile_in_place.take());
            if let Some(&word) = self.depfile_words.first() {
                let reason = Reason::in_place(
                    &self.args[word],
                    "the name of the dependency file follows the output's",
                );
                in_place = in_place.or(Some(reason));
            }
        }
        let mut library_dirs = self.library_dirs;
        library_dirs.append(&mut self.linker_dirs);
        Ok(Verdict::Link(Box::new(Link {
            words: words.clone(),
            output,
            output_words: self.output.map(|output| output.words),
            inputs: self.link_inputs,
            libraries: self.libraries,
            library_dirs,
            sources,
            relocatable: self.relocatable,
            lto: self.lto,
            placement: in_place.map_or(Placement::Staged, Placement::InPlace),
            append_at: self.append_at,
        })))
    }
}

/// Whether a path names no regular file by its mere spelling.
fn is_special(path: &[u8]) -> bool {
    path.starts_with(b"/dev/") || path.starts_with(b"/proc/")
}

/// Whether a path names no file, but a folder, by its mere spelling.
fn is_folder(path: &[u8]) -> bool {
    matches!(path.rsplit(|b| *b == b'/').next(), Some(b"" | b"." | b".."))
}

/// Whether two spellings are the same path for sure; others may still lead to the same file.
fn same_spelling(a: &OsStr, b: &Path) -> bool {
    fn plain(path: &Path) -> impl Iterator<Item = Component<'_>> {
        path.components()
            .filter(|part| !matches!(part, Component::CurDir))
    }
    plain(Path::new(a)).eq(plain(b))
}

//! The file that `DIST_EXTRA_CONFIG` names: setuptools reads it last of all its configuration files, so it is where parallel
//! extensions are turned on without touching the package.

/// `existing` (what the user's own file says) with `[build_ext] parallel = jobs`, unless it says something of that itself.
/// The section is not written twice: the parser refuses that.
pub(super) fn with_parallel(existing: &str, jobs: usize) -> String {
    let mut section = "";
    let mut header = None;
    let mut at = 0;
    for line in existing.split_inclusive('\n') {
        at += line.len();
        if let Some(name) = section_name(line) {
            section = name;
            if name == "build_ext" {
                header = Some(at);
            }
        }
        // build_ext takes the value of `build` where it has none of its own.
        let counts = matches!(section, "build_ext" | "build");
        if counts && key(line).is_some_and(|k| k.eq_ignore_ascii_case("parallel")) {
            return existing.to_owned();
        }
    }
    let (before, after) = existing.split_at(header.unwrap_or(existing.len()));
    let newline = if before.is_empty() || before.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    let section = if header.is_some() {
        ""
    } else {
        "[build_ext]\n"
    };
    format!("{before}{newline}{section}parallel = {jobs}\n{after}")
}

/// The name in a section's header.
fn section_name(line: &str) -> Option<&str> {
    line.strip_prefix('[')?
        .split_once(']')
        .map(|(name, _)| name)
}

/// The key of an option's line; lines that begin with a blank continue the one before, `#` and `;` begin comments.
fn key(line: &str) -> Option<&str> {
    if line.starts_with([' ', '\t', '#', ';']) {
        return None;
    }
    let end = line.find(['=', ':'])?;
    Some(line[..end].trim_end())
}

#[cfg(test)]
mod tests {
    use super::with_parallel;

    #[test]
    fn what_the_user_s_file_says_is_kept() {
        for (existing, expected) in [
            ("", "[build_ext]\nparallel = 4\n"),
            (
                "[bdist_wheel]\nuniversal = 1",
                "[bdist_wheel]\nuniversal = 1\n[build_ext]\nparallel = 4\n",
            ),
            (
                "[build_ext]\ndebug = 1\n[x]\n",
                "[build_ext]\nparallel = 4\ndebug = 1\n[x]\n",
            ),
            ("[build_ext]", "[build_ext]\nparallel = 4\n"),
            ("[build_ext]\nparallel = 2\n", "[build_ext]\nparallel = 2\n"),
            ("[build_ext]\nParallel: 2\n", "[build_ext]\nParallel: 2\n"),
            (
                "[build_ext]\n# parallel = 2\n",
                "[build_ext]\nparallel = 4\n# parallel = 2\n",
            ),
            ("[build]\nparallel = 2\n", "[build]\nparallel = 2\n"),
            (
                "[other]\nparallel = 2\n",
                "[other]\nparallel = 2\n[build_ext]\nparallel = 4\n",
            ),
        ] {
            assert_eq!(with_parallel(existing, 4), expected, "{existing:?}");
        }
    }
}

//! The file that `DIST_EXTRA_CONFIG` names: setuptools reads it last of all its configuration files, so it is where parallel
//! extensions are turned on without touching the package.

/// `existing` (what the user's own file says) with `[build_ext] parallel = jobs`, unless it says something of that itself.
/// The section is not written twice: the parser refuses that.
pub(super) fn with_parallel(existing: &str, jobs: usize) -> String {
    let line = format!("parallel = {jobs}\n");
    let mut out = String::with_capacity(existing.len() + 40);
    let mut inside = false;
    let mut done = false;
    let mut found_at = None;
    for text in existing.split_inclusive('\n') {
        let bare = text.trim_end();
        if let Some(section) = section(bare) {
            inside = section == "build_ext";
        } else if inside && key(bare).is_some_and(|k| k.eq_ignore_ascii_case("parallel")) {
            return existing.to_owned();
        }
        out.push_str(text);
        if inside && found_at.is_none() && section(bare).is_some() {
            if !text.ends_with('\n') {
                out.push('\n');
            }
            found_at = Some(out.len());
        }
    }
    if let Some(at) = found_at {
        out.insert_str(at, &line);
        done = true;
    }
    if !done {
        if !out.is_empty() && !out.ends_with('\n') {
            out.push('\n');
        }
        out.push_str("[build_ext]\n");
        out.push_str(&line);
    }
    out
}

/// The name in a section's header.
fn section(line: &str) -> Option<&str> {
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
            (
                "[build]\nparallel = 2\n",
                "[build]\nparallel = 2\n[build_ext]\nparallel = 4\n",
            ),
        ] {
            assert_eq!(with_parallel(existing, 4), expected, "{existing:?}");
        }
    }
}

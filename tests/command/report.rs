//! `objguard report`.

use super::space::{Outcome, TestSpace};
use super::{as_ordinary_user, built_twins, command, json, objguard};

#[test]
fn a_log_as_a_table() {
    let space = built_twins("a_log_as_a_table");
    let table = objguard(&space, "report log").success().stdout;
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 5, "{table}");
    let head: Vec<&str> = lines[0].split_whitespace().collect();
    assert_eq!(
        head,
        [
            "start", "total", "compiler", "waited", "kind", "what", "builder", "output", "why"
        ]
    );
    assert_eq!(
        lines
            .iter()
            .filter(|l| l.contains("  compile  compile ") && l.contains(" b/shared.o "))
            .count(),
        2,
        "{table}"
    );
    let first = lines[1];
    assert!(
        first.starts_with("0.000 ") && first.contains("no compile with these words"),
        "{table}"
    );
    assert_eq!(
        lines
            .iter()
            .filter(|l| l.contains("re-point") && l.contains("shared.o in variant "))
            .count(),
        1,
        "{table}"
    );
    let mut by_variable = command(&space, "report");
    by_variable.env("OBJGUARD_LOG", "log");
    assert_eq!(Outcome::of(by_variable).success().stdout, table);
}

#[test]
fn a_log_as_json() {
    let space = built_twins("a_log_as_json");
    let text = objguard(&space, "report --json log").success().stdout;
    let events: serde_json::Value = serde_json::from_str(&text).unwrap();
    let events = events.as_array().unwrap();
    assert_eq!(events.len(), 4);
    assert_eq!(
        (&events[0]["kind"], &events[0]["start_ns"]),
        (&"compile".into(), &0.into())
    );
    for event in events {
        assert_eq!(event["exit"], 0, "{event}");
        assert_eq!(
            event["directory"],
            space.path("").canonicalize().unwrap().to_str().unwrap(),
            "{event}"
        );
        assert!(
            event["end_ns"].as_u64() >= event["start_ns"].as_u64(),
            "{event}"
        );
        assert!(event["lineage"].as_array().is_some(), "{event}");
    }
    let links: Vec<_> = events.iter().filter(|e| e["kind"] == "link").collect();
    assert_eq!(links[0]["inputs"][0]["path"], "b/shared.o");
    assert_ne!(
        links[0]["inputs"][0]["variant"],
        links[1]["inputs"][0]["variant"]
    );
}

#[test]
fn a_log_as_a_trace() {
    let space = built_twins("a_log_as_a_trace");
    objguard(&space, "report log --trace t.json").quiet();
    let trace = json(&space.path("t.json"));
    let events = trace["traceEvents"].as_array().unwrap();
    let complete: Vec<_> = events.iter().filter(|e| e["ph"] == "X").collect();
    assert_eq!(complete.len(), 4);
    for event in &complete {
        assert!(
            event["ts"].as_f64().is_some() && event["dur"].as_f64().is_some(),
            "{event}"
        );
        let lane = (&event["pid"], &event["tid"]);
        let named = |what: &str| {
            events
                .iter()
                .any(|e| e["ph"] == "M" && e["name"] == what && &e["pid"] == lane.0)
        };
        assert!(named("process_name") && named("thread_name"), "{event}");
    }
    let to_stdout = objguard(&space, "report log --trace -").success().stdout;
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&to_stdout).unwrap(),
        trace
    );
    objguard(&space, "report log --trace /no/such/place")
        .one_line(&["cannot write `/no/such/place`"]);
}

#[test]
fn a_broken_line_is_named_and_the_rest_is_shown() {
    let space = built_twins("a_broken_line_is_named_and_the_rest_is_shown");
    let mut lines: Vec<String> = space.text("log").lines().map(str::to_owned).collect();
    lines[1].truncate(40);
    lines[2] = lines[2].replacen("\"v\":1", "\"v\":9", 1);
    lines.insert(0, "{\"v\":1}".into());
    space.write("log", lines.join("\n"));
    let outcome = objguard(&space, "report log").code(1);
    assert_eq!(outcome.stdout.lines().count(), 3, "{outcome}");
    let outcome = outcome.says(&[
        "cannot read line 1 of `log`: its field `kind` is missing",
        "cannot read line 3 of `log`: it is no JSON",
        "cannot read line 4 of `log`: it is of version 9, not 1",
    ]);
    assert_eq!(outcome.stderr.lines().count(), 3, "{outcome}");
    space.write("log", b"\xff\xfe\n");
    objguard(&space, "report log").one_line(&["cannot read line 1 of `log`: it is no text"]);
}

#[test]
fn state_folders_tell_of_the_last_builds() {
    let space = built_twins("state_folders_tell_of_the_last_builds");
    let table = objguard(&space, "report").success().stdout;
    assert_eq!(table.lines().count(), 5, "{table}");
    assert_eq!(
        table
            .lines()
            .filter(|l| l.contains("  link ") && l.contains("mod"))
            .count(),
        2,
        "{table}"
    );
    assert_eq!(
        objguard(&space, "report b").success().stdout,
        table.replace(" ./", " ")
    );
}

#[test]
fn nothing_to_report_is_an_error() {
    let space = TestSpace::new("nothing_to_report_is_an_error");
    objguard(&space, "report").one_line(&["nothing to report", "below `.`", "objguard run"]);
    objguard(&space, "report missing")
        .one_line(&["cannot read `missing`: No such file or directory"]);
    let closed = space.write("closed/x", "");
    let closed = closed.parent().unwrap();
    std::fs::set_permissions(closed, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
    let outcome = as_ordinary_user(&space, "report closed");
    std::fs::set_permissions(closed, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    outcome.one_line(&["cannot read `closed`: Permission denied"]);
}

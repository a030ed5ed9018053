//! distcc behind objguard, with two servers on loopback that the test starts.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use crate::space::{Outcome, TestSpace, can_run, wait_until};
use crate::{race, shared_source};

/// A distccd on a port of its own; it ends with the test.
struct Server {
    child: Child,
    port: u16,
    log: std::path::PathBuf,
}

impl Server {
    fn start(space: &TestSpace, name: &str) -> Server {
        // Free a moment ago, and nobody else here asks for ports.
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("loopback has free ports")
            .port();
        let log = space.aside(name);
        let file = File::create(&log).expect("the space is ours");
        let mut command = space.command("distccd");
        command
            .args([
                "--no-detach",
                "--daemon",
                "--log-stderr",
                "--log-level",
                "info",
            ])
            .args([
                "--listen",
                "127.0.0.1",
                "--allow",
                "127.0.0.1",
                "--jobs",
                "4",
            ])
            // Its list of compilers depends on when they were installed.
            .arg("--enable-tcp-insecure")
            .args(["--port", &port.to_string()])
            // As root it becomes another user, who can't write to our folder.
            .env("TMPDIR", "/tmp")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file);
        let child = command.spawn().expect("distccd is there");
        let server = Server { child, port, log };
        wait_until("distccd to listen", || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        server
    }

    /// How many compiles it did.
    fn compiles(&self) -> usize {
        let log = fs::read_to_string(&self.log).expect("the log was made");
        log.lines()
            .filter(|line| line.contains("COMPILE_OK"))
            .count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SAFETY: the child hasn't been waited for, so the id is its own. It ends its workers.
        unsafe { libc::kill(self.child.id() as i32, libc::SIGTERM) };
        let _ = self.child.wait();
    }
}

#[test]
fn two_servers_on_loopback() {
    if !can_run("two_servers_on_loopback", "distcc")
        || !can_run("two_servers_on_loopback", "distccd")
    {
        return;
    }
    let space = shared_source("two_servers_on_loopback", 4);
    let servers = [
        Server::start(&space, "one.log"),
        Server::start(&space, "two.log"),
    ];
    let hosts = servers.iter().map(|s| format!("127.0.0.1:{}/2", s.port));
    let hosts = hosts.collect::<Vec<_>>().join(" ");
    let folder = space.aside("distcc");
    fs::create_dir(&folder).expect("the space is new");
    let prepare = |command: &mut Command| {
        command
            .env("OBJGUARD_CC", "distcc gcc")
            .env("DISTCC_HOSTS", &hosts)
            .env("DISTCC_DIR", &folder)
            // Else a compile that can't be sent away would be done here, unnoticed.
            .env("DISTCC_FALLBACK", "0")
            .env("DISTCC_SKIP_LOCAL_RETRY", "1");
    };
    race(&space, 4, 4, &prepare);
    let done: Vec<usize> = servers.iter().map(Server::compiles).collect();
    println!("compiles done by the servers: {done:?}");
    assert!(done.iter().all(|n| *n > 0), "both have work: {done:?}");
    assert!(
        done.iter().sum::<usize>() >= 4 * 4 * 2,
        "every compile went there: {done:?}"
    );

    // What is known isn't sent away again; what the server says is what the user hears.
    let compile = |words: &str| {
        let mut command = space.wrapper(words);
        prepare(&mut command);
        Outcome::of(command)
    };
    compile("-DVALUE=1 -c shared.c -o again.o").quiet();
    let before: usize = servers.iter().map(Server::compiles).sum();
    compile("-DVALUE=1 -c shared.c -o again.o").quiet();
    assert_eq!(servers.iter().map(Server::compiles).sum::<usize>(), before);
    space.write("wrong.c", "int wrong(void) { return nothing; }\n");
    compile("-c wrong.c -o wrong.o")
        .code(1)
        .says(&["wrong.c", "nothing"]);
    assert!(!space.has("wrong.o"));
}

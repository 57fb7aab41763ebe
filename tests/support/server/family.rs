//! A postmaster and its children as one family: signals that reach all of them.
//!
//! Every backend makes itself a session and process group of its own, so children are found by their parent's number.
//! Killing the postmaster alone would leave busy backends answering; killing the family is what a machine's crash does.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Sends `signal` to one process, which may have ended already.
pub fn send(pid: u32, signal: Signal) {
    assert_ne!(pid, 0, "a process, not our process group");
    match kill(Pid::from_raw(i32::try_from(pid).expect("the number of a process")), signal) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(errno) => panic!("could not send {signal} to {pid}: {errno}"),
    }
}

/// Stops the postmaster, so that it forks no more, then kills its children and itself, and waits until none of them can
/// do anything any more (a postmaster of ours stays a zombie until it is waited for).
pub fn kill_all(postmaster: u32) {
    send(postmaster, Signal::SIGSTOP);
    let mut family = children(postmaster);
    family.push(postmaster);
    for pid in &family {
        send(*pid, Signal::SIGKILL);
    }
    let start = Instant::now();
    while family.iter().any(|pid| is_alive(*pid)) {
        assert!(start.elapsed() < Duration::from_secs(10), "the server {postmaster} outlives SIGKILL");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Stops the postmaster, then its children, until no child is left that was not stopped.
pub fn freeze(postmaster: u32) {
    send(postmaster, Signal::SIGSTOP);
    let mut stopped = BTreeSet::new();
    // A fork may have been under way: the second look finds what it made.
    for _ in 0..2 {
        for child in children(postmaster) {
            if stopped.insert(child) {
                send(child, Signal::SIGSTOP);
            }
        }
    }
}

/// Lets the children, then the postmaster, continue.
pub fn thaw(postmaster: u32) {
    for child in children(postmaster) {
        send(child, Signal::SIGCONT);
    }
    send(postmaster, Signal::SIGCONT);
}

/// Removes the shared memory that a killed server on `data_dir` left in the kernel. Its number is the second of line 7
/// of the file (PostgreSQL's `src/include/utils/pidfile.h`).
pub fn release_shared_memory(data_dir: &Path) {
    let file = fs::read_to_string(data_dir.join("postmaster.pid")).unwrap_or_default();
    if let Some(number) = file.lines().nth(6).and_then(|line| line.split_whitespace().nth(1)) {
        drop(Command::new("ipcrm").args(["-m", number]).output());
    }
}

/// Whether the process exists, other than as a zombie that waits for its parent to notice.
pub fn is_alive(pid: u32) -> bool {
    if has_proc() {
        return stat_in_proc(pid).is_some_and(|(state, _)| !matches!(state, 'Z' | 'X'));
    }
    kill(Pid::from_raw(i32::try_from(pid).expect("the number of a process")), None) != Err(Errno::ESRCH)
}

/// The processes whose parent is `parent`.
fn children(parent: u32) -> Vec<u32> {
    if has_proc() {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        entries
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|pid| stat_in_proc(*pid).is_some_and(|(_, ppid)| ppid == parent))
            .collect()
    } else {
        let listing = Command::new("ps").args(["-axo", "pid=,ppid="]).output().expect("ps runs");
        let listing = String::from_utf8_lossy(&listing.stdout).into_owned();
        let pairs = listing.lines().filter_map(|line| {
            let mut numbers = line.split_whitespace().map(str::parse::<u32>);
            Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
        });
        pairs.filter(|(_, ppid)| *ppid == parent).map(|(pid, _)| pid).collect()
    }
}

/// Whether this system shows its processes as files, as Linux does and macOS does not.
fn has_proc() -> bool {
    Path::new("/proc/self/stat").exists()
}

/// State and parent of a process, from `/proc/{pid}/stat`: `1 (a program's name, which may hold anything) S 0 ...`.
fn stat_in_proc(pid: u32) -> Option<(char, u32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

//! A postmaster and its children as one family: signals that reach all of them.
//!
//! Every backend makes itself a session and process group of its own, so children are found by their parent's number.
//! Killing the postmaster alone would leave busy backends answering; killing the family is what a machine's crash does.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Sends `signal` to one process. One that is gone already is no error.
pub(super) fn send(pid: u32, signal: Signal) {
    // Numbers below 1 would mean whole process groups, ours among them.
    let Some(raw) = i32::try_from(pid).ok().filter(|raw| *raw > 0) else { return };
    match kill(Pid::from_raw(raw), signal) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(errno) => tracing::warn!(process.pid = pid, error = %errno, "could not send {signal}"),
    }
}

/// Whether there is such a process, of whatever user.
pub(super) fn is_alive(pid: u32) -> bool {
    i32::try_from(pid).is_ok_and(|raw| raw > 0 && kill(Pid::from_raw(raw), None) != Err(Errno::ESRCH))
}

/// Stops the postmaster, so that it forks no more, then kills its children and itself, and waits until none of them can
/// do anything any more (a postmaster of ours stays a zombie until it is waited for).
pub(super) fn kill_all(postmaster: u32, limit: Duration) -> bool {
    send(postmaster, Signal::SIGSTOP);
    let mut family = children(postmaster);
    family.push(postmaster);
    for pid in &family {
        send(*pid, Signal::SIGKILL);
    }
    wait_until(limit, || family.iter().all(|pid| is_dead(*pid)))
}

/// Looks every few milliseconds whether `condition` holds; false when it does not within `limit`.
pub(super) fn wait_until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !condition() {
        if start.elapsed() > limit {
            return false;
        }
        thread::sleep(Duration::from_millis(2));
    }
    true
}

/// Stops the postmaster, then its children, until no child is left that was not stopped.
pub(super) fn freeze(postmaster: u32) {
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

/// Lets the children, then the postmaster, go on.
pub(super) fn thaw(postmaster: u32) {
    for child in children(postmaster) {
        send(child, Signal::SIGCONT);
    }
    send(postmaster, Signal::SIGCONT);
}

/// Whether the process is gone, or a zombie that only waits for its parent to notice.
fn is_dead(pid: u32) -> bool {
    match stat_in_proc(pid) {
        Some((state, _)) => matches!(state, 'Z' | 'X'),
        None => has_proc() || !is_alive(pid),
    }
}

/// The processes whose parent is `parent`.
pub(super) fn children(parent: u32) -> Vec<u32> {
    if has_proc() {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        entries
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|pid| stat_in_proc(*pid).is_some_and(|(_, ppid)| ppid == parent))
            .collect()
    } else {
        let listing = Command::new("ps").args(["-axo", "pid=,ppid="]).output();
        listing.map(|output| children_in(&String::from_utf8_lossy(&output.stdout), parent)).unwrap_or_default()
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

/// The children of `parent` in a listing of `ps`: a process and its parent in each line.
fn children_in(listing: &str, parent: u32) -> Vec<u32> {
    let pairs = listing.lines().filter_map(|line| {
        let mut numbers = line.split_whitespace().map(str::parse::<u32>);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    });
    pairs.filter(|(_, ppid)| *ppid == parent).map(|(pid, _)| pid).collect()
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Stdio};

    use super::*;

    fn sleeper() -> Child {
        Command::new("sleep").arg("60").stdout(Stdio::null()).spawn().expect("sleep runs")
    }

    #[test]
    fn children_are_found_by_their_parent_and_die_by_signal() {
        let mut child = sleeper();
        assert!(children(std::process::id()).contains(&child.id()));
        assert!(is_alive(child.id()));
        assert!(kill_all(child.id(), Duration::from_secs(5)));
        child.wait().expect("it ended");
        assert!(!children(std::process::id()).contains(&child.id()));
    }

    #[test]
    fn a_listing_of_ps_is_read_by_parent() {
        assert_eq!(children_in("    1     0\n   20     1\n  300    20\n  301    20\nnonsense\n", 20), [300, 301]);
    }

    #[test]
    fn process_number_zero_is_nobody() {
        assert!(!is_alive(0));
    }
}

//! A postmaster and its children, as the operating system sees them. Backends lead process groups of their own, so they
//! can only be found by their parent.

use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Sends `signal` to one process. That it is gone already is what a signal mostly wants; nothing else can go wrong with
/// a process of ours.
pub(super) fn send(pid: i32, signal: Signal) {
    if let Err(error) = kill(Pid::from_raw(pid), signal) {
        tracing::debug!(pid, %signal, %error, "signal not sent");
    }
}

/// The children of `pid`.
pub(super) fn children(pid: i32) -> Vec<i32> {
    let output = Command::new("ps").args(["-A", "-o", "ppid=", "-o", "pid="]).output();
    let listing = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let from_ps = parse(&listing, pid);
    if from_ps.is_empty() { from_proc(pid) } else { from_ps }
}

fn parse(listing: &str, parent: i32) -> Vec<i32> {
    let pairs = listing.lines().filter_map(|line| {
        let mut words = line.split_whitespace().map(str::parse::<i32>);
        Some((words.next()?.ok()?, words.next()?.ok()?))
    });
    pairs.filter(|(ppid, _)| *ppid == parent).map(|(_, pid)| pid).collect()
}

/// Where there is no `ps`: a bare Debian.
fn from_proc(parent: i32) -> Vec<i32> {
    let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| parent_of(*pid) == Some(parent)).collect()
}

fn parent_of(pid: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses and may hold anything: the fields are counted after the last one.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_are_found_by_their_parent() {
        assert_eq!(parse("    1   10\n   10   11\n   10 12\n", 10), [11, 12]);
        let mut child = Command::new("sleep").arg("30").spawn().unwrap();
        let (own, pid) = (i32::try_from(std::process::id()).unwrap(), i32::try_from(child.id()).unwrap());
        assert!(children(own).contains(&pid));
        assert!(from_proc(own).contains(&pid));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

//! A running server: started, stopped, and for tests killed, frozen and started again.
//!
//! The postmaster is our child in a process group of its own, so that Ctrl-C in a terminal reaches only us and we stop it
//! in order. Beside it runs a `sh` that holds the reading end of a pipe from us: when we die, however we die, the pipe
//! closes and it tells the server to quit.

use std::fs::{File, OpenOptions};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::binaries::Binaries;
use super::cluster::Owner;
use super::error::ServerError;
use super::family::{children, send};

/// Whether a server's data should outlive a crash of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// As PostgreSQL does it.
    Durable,
    /// No: nothing waits for the disk. For tests.
    Volatile,
}

/// How to start a server.
#[derive(Debug, Clone)]
pub struct InstanceOptions {
    /// Its cluster.
    pub data: PathBuf,
    /// The file its log is appended to.
    pub log: PathBuf,
    /// The port to listen at; `None` for a free one.
    pub port: Option<u16>,
    /// Whether its data should outlive a crash of the machine.
    pub durability: Durability,
    /// More settings, as in `postgresql.conf`.
    pub settings: Vec<(String, String)>,
}

/// A running server on 127.0.0.1. Dropping it stops it.
#[derive(Debug)]
pub struct Instance {
    binaries: Binaries,
    options: InstanceOptions,
    owner: Owner,
    port: u16,
    process: Option<Process>,
}

#[derive(Debug)]
struct Process {
    postmaster: Child,
    /// Waits on its standard input; see the module's comment.
    watcher: Child,
}

/// The ports to choose from: below those the system gives to outgoing connections, one of which could otherwise take the
/// port while its server is down.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
const START_TIMEOUT: Duration = Duration::from_secs(60);
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(4);

/// A port that is free now.
///
/// # Errors
/// [`ServerError::NoPort`].
pub fn free_port() -> Result<u16, ServerError> {
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let tries = std::iter::repeat_with(|| rand::random_range(PORTS)).take(1_000);
    tries.into_iter().find(free).ok_or(ServerError::NoPort { from: PORTS.start, to: PORTS.end })
}

impl Instance {
    /// Starts a server and waits until it takes connections.
    ///
    /// # Errors
    /// [`ServerError`]: a server already runs there, the data is of another version, or what its log says.
    pub fn start(binaries: &Binaries, options: InstanceOptions, owner: Owner) -> Result<Self, ServerError> {
        refuse_other_version(binaries, &options.data)?;
        refuse_running(&options.data)?;
        let mut instance = Self { binaries: binaries.clone(), port: 0, owner, process: None, options };
        let mut tries = if instance.options.port.is_some() { 1 } else { 5 };
        loop {
            instance.port = instance.options.port.map_or_else(free_port, Ok)?;
            tries -= 1;
            match instance.launch() {
                Ok(()) => return Ok(instance),
                // Somebody may have taken the port between our look and the server's.
                Err(ServerError::NotStarted { .. }) if tries > 0 => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The port it listens at.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of one of its databases, as superuser.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Its data directory.
    pub fn data(&self) -> &Path {
        &self.options.data
    }

    /// The postmaster's process id, while it runs.
    pub fn pid(&self) -> Option<i32> {
        self.process.as_ref().and_then(|process| i32::try_from(process.postmaster.id()).ok())
    }

    /// Stops it in order: connections are closed, data is written.
    pub fn stop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        let Ok(pid) = i32::try_from(process.postmaster.id()) else { return };
        send(pid, Signal::SIGINT);
        send(pid, Signal::SIGCONT);
        if !ended_within(&mut process.postmaster, STOP_TIMEOUT) {
            kill_family(pid);
        }
        process.reap();
    }

    /// Kills the postmaster and all its children at once, as a power cut would.
    pub fn kill(&mut self) {
        let Some(process) = self.process.take() else { return };
        if let Ok(pid) = i32::try_from(process.postmaster.id()) {
            kill_family(pid);
        }
        process.reap();
    }

    /// Starts it again after [`Self::stop`] or [`Self::kill`], on the same port and data.
    ///
    /// # Errors
    /// [`ServerError::NotStarted`].
    pub fn start_again(&mut self) -> Result<(), ServerError> {
        if self.process.is_some() {
            return Ok(());
        }
        self.launch()
    }

    /// Stops the clock of the postmaster and all its children: connections stay open and nobody answers.
    pub fn freeze(&self) {
        let Some(pid) = self.pid() else { return };
        send(pid, Signal::SIGSTOP);
        children(pid).into_iter().for_each(|child| send(child, Signal::SIGSTOP));
    }

    /// Lets the clock run again.
    pub fn thaw(&self) {
        let Some(pid) = self.pid() else { return };
        children(pid).into_iter().for_each(|child| send(child, Signal::SIGCONT));
        send(pid, Signal::SIGCONT);
    }

    fn launch(&mut self) -> Result<(), ServerError> {
        let log = self.open_log()?;
        let program = self.binaries.program("postgres");
        let mut command = Command::new(&program);
        command.arg("-D").arg(&self.options.data).current_dir("/").args(["-p", &self.port.to_string()]);
        for (name, value) in self.settings() {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        let errors = log.try_clone().map_err(ServerError::file("opening", &self.options.log))?;
        command.stdin(Stdio::null()).stdout(log).stderr(errors).process_group(0);
        self.owner.own(&mut command);
        let run = |source| ServerError::Run { program: program.display().to_string(), source };
        let mut postmaster = command.spawn().map_err(run)?;
        let watcher = watch(postmaster.id()).map_err(|source| {
            drop(postmaster.kill());
            ServerError::Run { program: "sh".to_owned(), source }
        })?;
        let mut process = Process { postmaster, watcher };
        if self.becomes_ready(&mut process.postmaster) {
            self.process = Some(process);
            return Ok(());
        }
        drop(process.postmaster.kill());
        process.reap();
        Err(ServerError::NotStarted { data: self.options.data.clone(), log: tail(&self.options.log) })
    }

    fn settings(&self) -> Vec<(String, String)> {
        let mut settings = vec![("listen_addresses", "127.0.0.1"), ("unix_socket_directories", "")];
        if self.options.durability == Durability::Volatile {
            settings.extend([
                ("fsync", "off"),
                ("synchronous_commit", "off"),
                ("full_page_writes", "off"),
                ("autovacuum", "off"),
                ("shared_buffers", "8MB"),
                ("max_wal_size", "64MB"),
            ]);
        }
        let own = settings.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        own.chain(self.options.settings.iter().cloned()).collect()
    }

    fn open_log(&self) -> Result<File, ServerError> {
        let path = &self.options.log;
        OpenOptions::new().create(true).append(true).open(path).map_err(ServerError::file("opening", path))
    }

    /// Ready is when the eighth line of `postmaster.pid` says so, and the first that it is this one.
    fn becomes_ready(&self, postmaster: &mut Child) -> bool {
        let started = Instant::now();
        let file = self.options.data.join("postmaster.pid");
        while started.elapsed() < START_TIMEOUT {
            if !matches!(postmaster.try_wait(), Ok(None)) {
                return false;
            }
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            let line = |number| text.lines().nth(number).unwrap_or("").trim();
            if line(0) == postmaster.id().to_string() && line(7) == "ready" {
                return true;
            }
            std::thread::sleep(POLL);
        }
        false
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Process {
    fn reap(mut self) {
        // The watcher ends when its standard input closes; the server it would tell to quit is gone by then.
        drop(self.postmaster.wait());
        drop(self.watcher.kill());
        drop(self.watcher.wait());
    }
}

/// A `sh` that outlives us only for as long as it takes to tell the server to quit.
fn watch(postmaster: u32) -> std::io::Result<Child> {
    const SCRIPT: &str = "trap '' INT TERM HUP; read -r _; kill -QUIT \"$1\"; kill -CONT \"$1\"";
    let mut command = Command::new("/bin/sh");
    command.args(["-c", SCRIPT, "watch", &postmaster.to_string()]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).current_dir("/").spawn()
}

fn kill_family(pid: i32) {
    // Stopped first, so that it starts no new child while the old ones are killed.
    send(pid, Signal::SIGSTOP);
    children(pid).into_iter().for_each(|child| send(child, Signal::SIGKILL));
    send(pid, Signal::SIGKILL);
}

fn ended_within(child: &mut Child, limit: Duration) -> bool {
    let started = Instant::now();
    while started.elapsed() < limit {
        if !matches!(child.try_wait(), Ok(None)) {
            return true;
        }
        std::thread::sleep(POLL);
    }
    false
}

fn refuse_other_version(binaries: &Binaries, data: &Path) -> Result<(), ServerError> {
    let file = data.join("PG_VERSION");
    let found = std::fs::read_to_string(&file).map_err(ServerError::file("reading", file))?.trim().to_owned();
    let wanted = binaries.major_version()?;
    if found == wanted {
        return Ok(());
    }
    Err(ServerError::Version { data: data.to_owned(), found, wanted })
}

fn refuse_running(data: &Path) -> Result<(), ServerError> {
    let Ok(text) = std::fs::read_to_string(data.join("postmaster.pid")) else { return Ok(()) };
    let Some(pid) = text.lines().next().and_then(|line| line.trim().parse::<i32>().ok()) else { return Ok(()) };
    // A stale file is PostgreSQL's own business; a live postmaster is ours to tell about.
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    if name.trim() == "postgres" {
        return Err(ServerError::Running { data: data.to_owned(), pid });
    }
    Ok(())
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(5)..).unwrap_or_default().join(" | ")
}

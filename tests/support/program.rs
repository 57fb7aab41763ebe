//! The program as its users call it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};

use nix::sys::signal::Signal;
use serde_json::Value as Json;

use super::process::Process;
use super::server::Port;
use super::waiting::eventually;

/// The program in `directory`, with only these variables in its environment.
pub fn program(directory: &Path, environment: &[(String, String)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
    command.current_dir(directory).env_clear().env("RUST_LOG", "warn").stdin(Stdio::null());
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    command
}

/// Runs the program; returns its exit code, standard output and standard error.
pub fn run(directory: &Path, environment: &[(String, String)], arguments: &[&str]) -> (i32, String, String) {
    read(program(directory, environment).args(arguments).output().expect("the program runs"))
}

/// The exit code and the texts of an output.
pub fn read(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code().expect("an exit code"), text(output.stdout), text(output.stderr))
}

/// Parses JSON.
pub fn json(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("not JSON: {error}: {text}"))
}

/// A configuration for the private server of a demo, whose passwords take a program that is not optimised long on a busy machine.
pub const PATIENT: &str = "domains: { defaults: { timeouts: { acquire_ms: 20000, connect_ms: 20000 } } }\n";

/// `tributary demo` on a free port, and what it printed.
#[derive(Debug)]
pub struct DemoProgram {
    /// Where it listens.
    pub address: String,
    /// All that it printed until it served.
    pub said: String,
    process: Process,
}

impl DemoProgram {
    /// Starts it, with the repository as its directory, and waits until it serves.
    pub fn start(state_dir: &Path, arguments: &[&str]) -> Self {
        let environment = ["PG_BIN", "PATH"].map(|name| (name.to_owned(), std::env::var(name).unwrap_or_default()));
        let environment = environment.into_iter().filter(|(_, value)| !value.is_empty());
        let mut command = program(Path::new(env!("CARGO_MANIFEST_DIR")), &environment.collect::<Vec<_>>());
        let config = state_dir.join("service.yaml");
        std::fs::create_dir_all(state_dir).expect("the directory is made");
        std::fs::write(&config, PATIENT).expect("written");
        command.args(["demo", "--bind", "127.0.0.1:0", "--state-dir"]).arg(state_dir).args(arguments);
        command.arg("--config").arg(config);
        let mut process = Process(command.stdout(Stdio::piped()).spawn().expect("the program starts"));
        let mut lines = BufReader::new(process.stdout.take().expect("its output")).lines().map_while(Result::ok);
        let mut said = String::new();
        for line in lines.by_ref() {
            said += &(line.clone() + "\n");
            if line.starts_with("Ctrl-C") {
                break;
            }
        }
        let address = said.split("deciding at http://").nth(1).and_then(|rest| rest.split(". ").next());
        let address = address.unwrap_or_else(|| panic!("the demo does not serve:\n{said}")).to_owned();
        // Who prints to a closed pipe would end.
        std::thread::spawn(move || lines.count());
        Self { address, said, process }
    }

    /// Stops it in order.
    pub fn stop(mut self) {
        self.process.signal(Signal::SIGTERM);
        assert_eq!(self.process.ended().code(), Some(0), "the demo ends in order");
    }
}

/// `tributary domain`, which can be killed, frozen and started again at its port.
#[derive(Debug)]
pub struct DomainService {
    domain: String,
    port: Port,
    graph: PathBuf,
    config: PathBuf,
    environment: Vec<(String, String)>,
    child: Mutex<Option<Process>>,
}

impl DomainService {
    /// Starts one that answers for the nodes of `graph` that ask `domain`, and waits until it serves.
    pub fn start(domain: &str, graph: PathBuf, config: PathBuf, environment: Vec<(String, String)>) -> Self {
        let (domain, port, child) = (domain.to_owned(), Port::any(), Mutex::default());
        let service = Self { domain, port, graph, config, environment, child };
        service.restart();
        service
    }

    /// The port of 127.0.0.1 that it listens at.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Starts it again after it was killed, and waits until it serves.
    pub fn restart(&self) {
        let address = format!("127.0.0.1:{}", self.port());
        let mut command = program(Path::new(env!("CARGO_MANIFEST_DIR")), &self.environment);
        command.args(["domain", &self.domain, "--bind", &address, "--graph"]).arg(&self.graph);
        command.arg("--config").arg(&self.config).stdout(Stdio::null()).stderr(Stdio::null());
        let child = Process(command.spawn().expect("the program starts"));
        *self.child.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
        let serves = || -> std::io::Result<bool> {
            let mut stream = TcpStream::connect(&address)?;
            stream.write_all(b"GET /readyz HTTP/1.0\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer.starts_with("HTTP/1.0 200"))
        };
        eventually("the service of the domain serves", || serves().unwrap_or(false));
    }

    /// SIGKILL.
    pub fn kill(&self) {
        drop(self.child.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// SIGSTOP.
    pub fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// SIGCONT.
    pub fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        child.as_ref().expect("it runs").signal(signal);
    }
}

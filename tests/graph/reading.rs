//! Reads flow files the way the service does, without its environment.

use std::path::Path;
use std::sync::Arc;

use tributary::config::Env;
use tributary::diagnostics::{Diagnostics, Source};
use tributary::graph::{Context, Flow, RuleFiles, compile};

/// The directory of these tests.
pub fn here() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/graph"))
}

/// Rule files of one directory, named by their file names, so that no snapshot holds a path of this machine.
pub struct Beside<'a>(pub &'a Path);

impl RuleFiles for Beside<'_> {
    fn read(&self, path: &str) -> std::io::Result<Arc<Source>> {
        Ok(Source::new(path, std::fs::read_to_string(self.0.join(path))?))
    }
}

/// Compiles `text` as the file `name` of `directory`.
pub fn read(directory: &Path, name: &str, text: &str) -> Result<(Flow, Diagnostics), Diagnostics> {
    compile_with(&Beside(directory), name, text)
}

/// Compiles `text` with these rule files.
pub fn compile_with(files: &dyn RuleFiles, name: &str, text: &str) -> Result<(Flow, Diagnostics), Diagnostics> {
    let env = Env::default();
    let context = Context::new(&env);
    compile(&Source::new(name, text), files, &context)
}

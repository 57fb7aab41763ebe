//! Compiles a flow again, with what databases have said of its queries since.
//!
//! The files may have changed on disk, so their texts are kept: the result is the same flow with more of its types known.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Catalog, Context, RuleFiles, compile};
use crate::diagnostics::Source;
use crate::graph::plan::{CompiledFrom, Flow};

impl CompiledFrom {
    pub(super) fn of(source: &Arc<Source>, kept: Kept<'_>, context: &Context<'_>) -> Self {
        Self {
            source: Arc::clone(source),
            rules: kept.texts.into_inner(),
            env: context.env.clone(),
            rule_limits: context.rule_limits.clone(),
            file_limits: context.file_limits,
        }
    }
}

impl Flow {
    /// The same flow with the types that `catalog` knows; `None` if they do not fit.
    pub fn described(&self, catalog: &dyn Catalog) -> Option<Self> {
        let CompiledFrom { source, rules, env, rule_limits, file_limits } = &self.compiled_from;
        let context =
            Context { rule_limits: rule_limits.clone(), file_limits: *file_limits, env, catalog: Some(catalog) };
        compile(source, &Remembered(rules), &context).ok().map(|(flow, _)| flow)
    }
}

/// Reads rule files and keeps their texts.
pub(super) struct Kept<'a> {
    files: &'a dyn RuleFiles,
    texts: RefCell<BTreeMap<String, Arc<Source>>>,
}

impl<'a> Kept<'a> {
    pub(super) fn over(files: &'a dyn RuleFiles) -> Self {
        Self { files, texts: RefCell::default() }
    }
}

impl RuleFiles for Kept<'_> {
    fn read(&self, path: &str) -> std::io::Result<Arc<Source>> {
        let source = self.files.read(path)?;
        self.texts.borrow_mut().insert(path.to_owned(), Arc::clone(&source));
        Ok(source)
    }
}

/// The kept texts of rule files.
struct Remembered<'a>(&'a BTreeMap<String, Arc<Source>>);

impl RuleFiles for Remembered<'_> {
    fn read(&self, path: &str) -> std::io::Result<Arc<Source>> {
        self.0.get(path).cloned().ok_or_else(|| std::io::ErrorKind::NotFound.into())
    }
}

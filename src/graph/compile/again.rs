//! Compiles a flow again, with what databases have said of its queries since.
//!
//! The files may have changed on disk, so their texts are kept: the result is the same flow with more of its types known.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Catalog, Context, RuleFiles, compile};
use crate::diagnostics::Source;
use crate::graph::plan::{CompiledFrom, Flow, Tables};

impl CompiledFrom {
    pub(super) fn of(source: &Arc<Source>, kept: Kept<'_>, context: &Context<'_>) -> Self {
        Self {
            source: Arc::clone(source),
            rules: kept.texts.into_inner(),
            tables: kept.tables.into_inner(),
            env: context.env.clone(),
            rule_limits: context.rule_limits.clone(),
            file_limits: context.file_limits,
        }
    }
}

impl Flow {
    /// The same flow with the types that `catalog` knows; `None` if they do not fit.
    pub fn described(&self, catalog: &dyn Catalog) -> Option<Self> {
        self.again(Some(catalog))
    }

    /// The same flow without the types that databases described: the one that runs.
    pub fn undescribed(&self) -> Option<Self> {
        self.again(None)
    }

    fn again(&self, catalog: Option<&dyn Catalog>) -> Option<Self> {
        let CompiledFrom { source, rules, tables, env, rule_limits, file_limits } = &self.compiled_from;
        let context = Context { rule_limits: rule_limits.clone(), file_limits: *file_limits, env, catalog };
        compile(source, &Remembered { rules, tables }, &context).ok().map(|(flow, _)| flow)
    }
}

/// Reads rule files and tables, and keeps what it read.
pub(super) struct Kept<'a> {
    files: &'a dyn RuleFiles,
    texts: RefCell<BTreeMap<String, Arc<Source>>>,
    tables: RefCell<Tables>,
}

impl<'a> Kept<'a> {
    pub(super) fn over(files: &'a dyn RuleFiles) -> Self {
        Self { files, texts: RefCell::default(), tables: RefCell::default() }
    }
}

impl RuleFiles for Kept<'_> {
    fn read(&self, path: &str) -> std::io::Result<Arc<Source>> {
        let source = self.files.read(path)?;
        self.texts.borrow_mut().insert(path.to_owned(), Arc::clone(&source));
        Ok(source)
    }

    fn bytes(&self, path: &str) -> std::io::Result<(String, Arc<[u8]>)> {
        let named = self.files.bytes(path)?;
        self.tables.borrow_mut().insert(path.to_owned(), named.clone());
        Ok(named)
    }
}

/// The kept texts of rule files and tables.
struct Remembered<'a> {
    rules: &'a BTreeMap<String, Arc<Source>>,
    tables: &'a Tables,
}

impl RuleFiles for Remembered<'_> {
    fn read(&self, path: &str) -> std::io::Result<Arc<Source>> {
        self.rules.get(path).cloned().ok_or_else(|| std::io::ErrorKind::NotFound.into())
    }

    fn bytes(&self, path: &str) -> std::io::Result<(String, Arc<[u8]>)> {
        self.tables.get(path).cloned().ok_or_else(|| std::io::ErrorKind::NotFound.into())
    }
}

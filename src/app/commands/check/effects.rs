//! `check --db` of effects: the write role prepares their statements and those on the tables of the service. Nothing is written.

use std::time::Duration;

use super::{Described, UNREACHABLE, refusal};
use crate::actors::domain::Writer;
use crate::config::prefix;
use crate::diagnostics::{Diagnostic, Diagnostics, Span};
use crate::flow::{QueryError, QueryErrorKind};
use crate::graph::{Effect, Flow};
use crate::postgres::{Call, EffectStatements, Session};
use crate::types::{Deadline, Value};

/// Checks the effects of a flow.
pub(super) struct Check<'a> {
    pub(super) flow: &'a Flow,
    pub(super) writer: &'a Writer,
    pub(super) limit: Duration,
    pub(super) described: &'a mut Described,
    pub(super) found: &'a mut Diagnostics,
}

impl Check<'_> {
    /// Runs all checks. Returns whether the database could not be reached.
    pub(super) async fn run(mut self) -> bool {
        let Some(first) = self.flow.effects.first() else { return false };
        let session = match self.writer.pool().acquire(Deadline::after(self.limit)).await {
            Ok(lease) => Session::from(lease),
            Err(kind) => return self.refuse(first, &first.span, kind, ""),
        };
        let statements = EffectStatements::new(&first.name);
        let mut unreachable = self.warn_of_superuser(&session, first, &statements).await;
        for query in statements.of_tables() {
            let help =
                "`tributary schema effects` prints the tables of the service, and the rights that the role needs";
            if let Err(kind) = session.describe(query, Deadline::after(self.limit)).await {
                // One error is enough: the tables belong together.
                unreachable |= self.refuse(first, &first.span, kind, help);
                break;
            }
        }
        for effect in &self.flow.effects {
            for (position, statement) in effect.statements.iter().enumerate() {
                match session.describe(&statement.query, Deadline::after(self.limit)).await {
                    Ok(description) => {
                        let key = (self.flow.name.clone(), effect.name.clone(), position);
                        self.described.statements.insert(key, description);
                    }
                    Err(kind) => unreachable |= self.refuse(effect, &statement.span, kind, ""),
                }
            }
        }
        unreachable
    }

    async fn warn_of_superuser(&mut self, session: &Session, effect: &Effect, statements: &EffectStatements) -> bool {
        let call = Call { statement: statements.role.clone(), params: Vec::new() };
        let row = match session.write(&call).await {
            Ok(written) => written.rows.into_iter().next().unwrap_or_default(),
            Err(kind) => return self.refuse(effect, &effect.span, kind, ""),
        };
        if row.at(["is_superuser"]) == Some(Value::Boolean(true)) {
            let role = row.at(["role"]).unwrap_or_default();
            let variable = format!("{}WRITE_USER", prefix(&effect.domain));
            let message = format!("the write role `{role}` of domain `{}` is a superuser", effect.domain);
            let help = format!("name a role in {variable} that may write what the effects write, and nothing else");
            self.found.push(Diagnostic::warning("superuser-writes", &effect.span, message).help(help));
        }
        false
    }

    /// Reports an error at `place`. Returns whether the database could not be reached.
    fn refuse(&mut self, effect: &Effect, place: &Span, kind: QueryErrorKind, help: &str) -> bool {
        let domain = effect.domain.clone();
        let role = format!("{}WRITE_USER", prefix(&domain));
        let diagnostic = match &kind {
            QueryErrorKind::Sql { sqlstate, detail } => {
                let (code, own) = match sqlstate.as_str() {
                    "42P01" => ("missing-table", "create the table, or name the one that is there".to_owned()),
                    "42703" => ("missing-column", "name a column that the table has".to_owned()),
                    "42501" => ("missing-permission", format!("grant it to the role of {role}")),
                    _ => ("statement-refused", "correct the statement, or the database".to_owned()),
                };
                let message = format!("domain `{domain}` refuses effect `{}`: {detail}", effect.name);
                let help = if help.is_empty() { own } else { help.to_owned() };
                Diagnostic::error(code, place, message).label(format!("SQLSTATE {sqlstate}")).help(help)
            }
            QueryErrorKind::Unavailable { why, .. } => {
                let message = format!("the write role of domain `{domain}` cannot log in: {why}");
                Diagnostic::error(UNREACHABLE, place, message)
                    .help(format!("correct {role} and its password, or the server"))
            }
            _ => refusal(&QueryError { domain, node: None, kind }, place),
        };
        let is_unreachable = diagnostic.code == UNREACHABLE;
        self.found.push(diagnostic);
        is_unreachable
    }
}

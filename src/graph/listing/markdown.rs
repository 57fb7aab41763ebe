//! A listing as a Markdown document.

use super::{FlowListing, Listing, NodeListing, RuleListing, TableListing};

pub(super) fn write(listing: &Listing) -> String {
    let mut out = Document(String::new());
    listing.flows.iter().for_each(|flow| out.flow(flow));
    out.0
}

struct Document(String);

impl Document {
    /// A paragraph, a heading or a list.
    fn block(&mut self, text: &str) {
        if text.trim().is_empty() {
            return;
        }
        if !self.0.is_empty() {
            self.0.push('\n');
        }
        self.0.push_str(text);
        self.0.push('\n');
    }

    fn flow(&mut self, flow: &FlowListing) {
        self.block(&format!("# Flow {}", code(&flow.flow)));
        self.block(&flow.description.as_deref().map(prose).unwrap_or_default());
        let versions = format!(
            "- Graph: {}, version {}\n- Rules: version {}",
            code(&flow.place),
            code(&flow.graph_version),
            code(&flow.rules_version)
        );
        self.block(&versions);
        self.definitions(
            "Constants",
            flow.constants.iter().map(|each| (each.written(), &each.description, &each.place)),
        );
        self.definitions(
            "Functions",
            flow.functions.iter().map(|each| (each.written(), &each.description, &each.place)),
        );
        flow.nodes.iter().for_each(|node| self.node(node));
    }

    fn definitions<'a>(&mut self, what: &str, all: impl Iterator<Item = (String, &'a Option<String>, &'a String)>) {
        let items: Vec<String> = all
            .map(|(written, description, place)| {
                let description = description.as_ref().map(|text| format!(": {}", prose(text))).unwrap_or_default();
                format!("- {}{description} ({})", code(&written), code(place))
            })
            .collect();
        if !items.is_empty() {
            self.block(&format!("## {what}"));
            self.block(&items.join("\n"));
        }
    }

    fn node(&mut self, node: &NodeListing) {
        self.block(&format!("## Node {}", code(&node.node)));
        self.block(&node.description.as_deref().map(prose).unwrap_or_default());
        let mut facts = vec![format!("- Place: {}", code(&node.place))];
        facts.extend(node.runs_if.iter().map(|condition| format!("- Runs if: {}", code(condition))));
        facts.extend(node.starts_with.iter().map(|fact| format!("- Starts with: {}", code(&fact.written()))));
        if node.allows_waiting {
            facts.push("- A rule that waits counts as one that does not fire".to_owned());
        }
        facts.extend(listed("Reads", &node.reads));
        facts.extend(listed("Writes", &node.writes));
        self.block(&facts.join("\n"));
        if let Some(condition) = &node.condition {
            self.block(&fenced(&format!("result = {condition}")));
        }
        if let Some(table) = &node.table {
            self.table(table);
        }
        node.rules.iter().enumerate().for_each(|(number, rule)| self.rule(number + 1, rule));
    }

    fn table(&mut self, table: &TableListing) {
        self.block(&format!("Hit policy: {}", prose(&table.policy())));
        let line = |first: &str, cells: &[String]| {
            let cells: Vec<String> =
                cells.iter().map(|cell| if cell.is_empty() { String::new() } else { in_table(cell) }).collect();
            format!("| {first} | {} |", cells.join(" | "))
        };
        let mut lines = vec![line("row", &table.columns), format!("|{}", "---|".repeat(table.columns.len() + 1))];
        lines.extend(table.rows.iter().map(|row| line(&prose(&row.rule), &row.cells)));
        self.block(&lines.join("\n"));
    }

    fn rule(&mut self, number: usize, rule: &RuleListing) {
        self.block(&format!("### {number}. {}", prose(&rule.rule)));
        self.block(&rule.description.as_deref().map(prose).unwrap_or_default());
        self.block(&rule.comment.as_deref().map(quoted).unwrap_or_default());
        let then = rule.then.iter().map(|statement| indented(statement, "     ")).collect::<Vec<_>>().join(";\n     ");
        self.block(&fenced(&match &rule.when {
            Some(when) => format!("when {}\nthen {then};", indented(when, "     ")),
            None => format!("{then};"),
        }));
        let mut facts = Vec::new();
        let attributes = rule.attributes();
        facts.extend((!attributes.is_empty()).then(|| format!("- {attributes}")));
        facts.extend(listed("Reads", &rule.reads));
        facts.extend(listed("Writes", &rule.writes));
        facts.push(format!("- Place: {}", code(&rule.place)));
        self.block(&facts.join("\n"));
    }
}

fn listed(what: &str, facts: &[String]) -> Option<String> {
    let facts: Vec<String> = facts.iter().map(|fact| code(fact)).collect();
    (!facts.is_empty()).then(|| format!("- {what}: {}", facts.join(", ")))
}

/// Lines after the first, indented.
fn indented(text: &str, by: &str) -> String {
    text.lines().collect::<Vec<_>>().join(&format!("\n{by}"))
}

/// The longest row of backticks in `text`.
fn backticks(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

fn code(text: &str) -> String {
    let fence = "`".repeat(backticks(text) + 1);
    let space = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{space}{text}{space}{fence}")
}

/// Code in a cell of a table, where `|` ends a cell.
fn in_table(text: &str) -> String {
    code(&text.replace(['\n', '\r'], " ")).replace('|', "\\|")
}

fn fenced(text: &str) -> String {
    let fence = "`".repeat(backticks(text).max(2) + 1);
    format!("{fence}grl\n{text}\n{fence}")
}

/// Text whose characters stand for themselves.
fn prose(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if "\\`*_[]<>|~#".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

fn quoted(text: &str) -> String {
    text.lines().map(|line| format!("> {}", prose(line))).collect::<Vec<_>>().join("\n")
}

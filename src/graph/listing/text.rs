//! A listing in lines.

use super::{FlowListing, Listing, NodeListing, RuleListing, TableListing};

pub(super) fn write(listing: &Listing) -> String {
    let mut out = Lines(String::new());
    for (number, flow) in listing.flows.iter().enumerate() {
        if number > 0 {
            out.line("");
        }
        out.flow(flow);
    }
    out.0
}

struct Lines(String);

impl Lines {
    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    /// A word, and lines beside it.
    fn beside(&mut self, indent: usize, word: &str, text: &str) {
        for (number, line) in text.lines().enumerate() {
            let word = if number == 0 { word } else { "" };
            self.line(&format!("{:indent$}{word:<8}{line}", ""));
        }
    }

    fn flow(&mut self, flow: &FlowListing) {
        let FlowListing { flow: name, description, place, graph_version, rules_version, .. } = flow;
        self.line(&format!("flow {name}  (graph {graph_version}, rules {rules_version})  {place}"));
        self.beside(2, "", description.as_deref().unwrap_or(""));
        self.definitions(
            "constants",
            flow.constants.iter().map(|each| (each.written(), &each.description, &each.place)),
        );
        self.definitions(
            "functions",
            flow.functions.iter().map(|each| (each.written(), &each.description, &each.place)),
        );
        flow.nodes.iter().for_each(|node| self.node(node));
    }

    fn definitions<'a>(&mut self, what: &str, all: impl Iterator<Item = (String, &'a Option<String>, &'a String)>) {
        for (number, (written, description, place)) in all.enumerate() {
            if number == 0 {
                self.line("");
                self.line(what);
            }
            let description = description.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
            self.line(&format!("  {written}{description}  {place}"));
        }
    }

    fn node(&mut self, node: &NodeListing) {
        self.line("");
        self.line(&format!("node {}  {}", node.node, node.place));
        self.beside(2, "", node.description.as_deref().unwrap_or(""));
        node.runs_if.iter().for_each(|condition| self.beside(2, "runs if", condition));
        node.starts_with.iter().for_each(|fact| self.beside(2, "starts", &fact.written()));
        if node.allows_waiting {
            self.beside(2, "waiting", "a rule that waits counts as one that does not fire");
        }
        self.beside(2, "reads", &node.reads.join(", "));
        self.beside(2, "writes", &node.writes.join(", "));
        self.beside(2, "result", node.condition.as_deref().unwrap_or(""));
        if let Some(table) = &node.table {
            self.table(table);
        }
        node.rules.iter().enumerate().for_each(|(number, rule)| self.rule(number + 1, rule));
    }

    fn table(&mut self, table: &TableListing) {
        self.beside(2, "hit", &table.policy());
        self.line("");
        let rows = || std::iter::once(&table.columns).chain(table.rows.iter().map(|row| &row.cells));
        let widths: Vec<usize> = (0..table.columns.len())
            .map(|place| rows().filter_map(|row| row.get(place)).map(|cell| cell.chars().count()).max().unwrap_or(0))
            .collect();
        let number = table.rows.iter().map(|row| row.rule.chars().count()).max().unwrap_or(0);
        let names = std::iter::once("row").chain(table.rows.iter().map(|row| row.rule.as_str()));
        for (name, row) in names.zip(rows()) {
            let mut line = format!("  {name:<number$}");
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(&format!("  {cell:<width$}"));
            }
            self.line(line.trim_end());
        }
    }

    fn rule(&mut self, number: usize, rule: &RuleListing) {
        let description = rule.description.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
        self.line("");
        self.line(&format!("  {number}. {}{description}  {}", rule.rule, rule.place));
        self.beside(5, "//", rule.comment.as_deref().unwrap_or(""));
        self.line_of(5, &rule.attributes());
        self.beside(5, "when", rule.when.as_deref().unwrap_or(""));
        for (number, statement) in rule.then.iter().enumerate() {
            self.beside(5, if number == 0 && rule.when.is_some() { "then" } else { "" }, statement);
        }
        self.beside(5, "reads", &rule.reads.join(", "));
        self.beside(5, "writes", &rule.writes.join(", "));
    }

    fn line_of(&mut self, indent: usize, text: &str) {
        if !text.is_empty() {
            self.line(&format!("{:indent$}{text}", ""));
        }
    }
}

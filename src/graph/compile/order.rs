//! The order of nodes: each after those that it needs, otherwise as in the file; or the cycle that allows no order.

use super::Compiler;
use crate::diagnostics::{Diagnostic, Span};

impl Compiler<'_> {
    /// The positions of the nodes in an order that can run. A cycle is reported.
    pub(super) fn order(&mut self) -> Option<Vec<usize>> {
        let mut order: Vec<usize> = Vec::with_capacity(self.nodes.len());
        let mut done = vec![false; self.nodes.len()];
        loop {
            let ready = self.nodes.iter().enumerate().find(|(index, node)| {
                let waits = node.needs.iter().any(|(needed, _)| !done.get(*needed).copied().unwrap_or(false));
                !waits && !done.get(*index).copied().unwrap_or(true)
            });
            let Some((index, _)) = ready else { break };
            order.push(index);
            if let Some(done) = done.get_mut(index) {
                *done = true;
            }
        }
        if order.len() == self.nodes.len() {
            return Some(order);
        }
        self.report_cycle(&done);
        None
    }

    fn report_cycle(&mut self, done: &[bool]) {
        let Some(start) = done.iter().position(|done| !done) else { return };
        // From any node that cannot run, following needs that cannot run ends in a cycle.
        let mut chain: Vec<(usize, Span)> = Vec::new();
        let mut current = start;
        loop {
            if let Some(at) = chain.iter().position(|(node, _)| *node == current) {
                chain.drain(..at);
                break;
            }
            let stuck = self
                .nodes
                .get(current)
                .and_then(|node| node.needs.iter().find(|(needed, _)| !done.get(*needed).copied().unwrap_or(true)));
            let Some((next, place)) = stuck else { return };
            chain.push((current, place.clone()));
            current = *next;
        }
        let name = |node: usize| self.nodes.get(node).map_or("", |node| node.id.as_str());
        let mut names: Vec<&str> = chain.iter().map(|(node, _)| name(*node)).collect();
        names.extend(names.first().copied());
        let message = if chain.len() == 1 {
            format!("node `{}` needs itself", name(current))
        } else {
            format!("these nodes need each other: {}", names.join(" -> "))
        };
        let Some((first, place)) = chain.first() else { return };
        let next = chain.get(1).map_or(*first, |(node, _)| *node);
        let mut diagnostic = Diagnostic::error("cycle", place, message)
            .label(format!("`{}` needs `{}`", name(*first), name(next)))
            .help("a node can only use what is decided before it: break the chain at one of these places");
        for (position, (node, place)) in chain.iter().enumerate().skip(1) {
            let next = chain.get(position + 1).map_or(*first, |(node, _)| *node);
            diagnostic = diagnostic.related(place.clone(), format!("`{}` needs `{}`", name(*node), name(next)));
        }
        self.found.push(diagnostic);
    }
}

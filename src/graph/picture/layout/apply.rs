//! The places that follow from order and heights: of boxes, arrows and conditions.

use super::{GAP_CONDITION, GAP_X, Layout, MARGIN, Slot, What, size, wide};
use crate::graph::picture::{LEGEND_ROW, Label, Picture, legend};

/// The most characters of a condition over an arrow.
const LABEL: usize = 32;
/// The width of one, in pixels.
const LABEL_CHARACTER: f64 = 6.8;
/// Between a condition and its own arrow.
const LABEL_CLEARANCE: f64 = 3.0;

impl Layout {
    pub(super) fn apply(&self, picture: &mut Picture) {
        let top = self.slots.iter().map(|slot| slot.y - slot.height / 2.0).fold(f64::INFINITY, f64::min);
        let top = if top.is_finite() { MARGIN - top } else { MARGIN };
        let gaps = self.gaps();
        let mut left = MARGIN;
        let mut spans = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            let slots = layer.iter().filter_map(|slot| self.slots.get(*slot));
            let width = slots.map(|slot| slot.width(picture)).fold(0.0, f64::max);
            spans.push((left, left + width));
            left += width + gaps.get(spans.len()).copied().unwrap_or(GAP_X);
        }
        let right = spans.last().map_or(left, |(_, right)| *right);
        let bottom = self.slots.iter().map(|slot| slot.y + slot.height / 2.0 + top).fold(0.0, f64::max);
        self.put(picture, &spans, top);
        for (number, route) in self.routes.iter().enumerate() {
            let points = self.route(number, route, picture, &spans, top);
            if let Some(arrow) = picture.arrows.get_mut(number) {
                arrow.points = points;
            }
        }
        picture.width = (right + MARGIN).ceil();
        let rows = legend(&picture.domains, picture.width).last().map_or(0, |(_, row)| row + 1);
        picture.height = LEGEND_ROW.mul_add(size(rows), bottom + MARGIN + if rows == 0 { 0.0 } else { 12.0 }).ceil();
    }

    /// Puts boxes and conditions at their places.
    fn put(&self, picture: &mut Picture, spans: &[(f64, f64)], top: f64) {
        for slot in &self.slots {
            let (x, y) = (spans.get(slot.layer).map_or(0.0, |(from, _)| *from), slot.y + top - slot.height / 2.0);
            match slot.what {
                What::Box(number) => {
                    if let Some(known) = picture.boxes.get_mut(number) {
                        (known.x, known.y) = (x, y);
                    }
                }
                What::Condition(number) => {
                    let width = slot.width(picture);
                    if let Some(arrow) = picture.arrows.get_mut(number) {
                        let text = arrow.condition.as_deref().map(short).unwrap_or_default();
                        arrow.label = Some(Label { text, x, y, width, height: slot.height - LABEL_CLEARANCE });
                    }
                }
                What::Lane => {}
            }
        }
    }

    /// By layer: the room before it.
    fn gaps(&self) -> Vec<f64> {
        let is_of_conditions = |layer: Option<&Vec<usize>>| {
            let mut slots = layer.into_iter().flatten().filter_map(|slot| self.slots.get(*slot));
            slots.any(|slot| matches!(slot.what, What::Condition(_)))
        };
        let before = |layer: usize| layer.checked_sub(1).and_then(|before| self.layers.get(before));
        let gap = |layer: usize| {
            let is_narrow = is_of_conditions(self.layers.get(layer)) || is_of_conditions(before(layer));
            if is_narrow { GAP_CONDITION } else { GAP_X }
        };
        (0..self.layers.len()).map(gap).collect()
    }

    /// From the right side of one box to the left side of the other, level through the layers between.
    fn route(
        &self,
        number: usize,
        route: &[usize],
        picture: &Picture,
        spans: &[(f64, f64)],
        top: f64,
    ) -> Vec<(f64, f64)> {
        let Some(arrow) = picture.arrows.get(number) else { return Vec::new() };
        let (Some(from), Some(to)) = (picture.boxes.get(arrow.from), picture.boxes.get(arrow.to)) else {
            return Vec::new();
        };
        let mut points = vec![(from.x + from.width, from.y + from.height / 2.0)];
        for slot in route.iter().skip(1).take(route.len().saturating_sub(2)).filter_map(|slot| self.slots.get(*slot)) {
            let (left, right) = spans.get(slot.layer).copied().unwrap_or_default();
            points.push((left, slot.line() + top));
            points.push((right, slot.line() + top));
        }
        points.push((to.x, to.y + to.height * self.port(number, arrow.to)));
        points
    }

    /// The position on the left side of a box where an arrow ends, from 0 to 1, in the order of the other ends.
    fn port(&self, number: usize, to: usize) -> f64 {
        let before = |route: &Vec<usize>| {
            let slot = route.len().checked_sub(2).and_then(|at| route.get(at)).and_then(|slot| self.slots.get(*slot));
            slot.map_or(0.0, Slot::line)
        };
        let arriving = self.routes.iter().enumerate().filter(|(_, route)| route.last() == Some(&to));
        let mut ends: Vec<(f64, usize)> = arriving.map(|(number, route)| (before(route), number)).collect();
        ends.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let place = ends.iter().position(|(_, known)| *known == number).unwrap_or(0);
        (size(place) + 1.0) / (size(ends.len()) + 1.0)
    }
}

impl Slot {
    /// Its width in the picture.
    fn width(&self, picture: &Picture) -> f64 {
        match self.what {
            What::Box(number) => picture.boxes.get(number).map_or(0.0, |known| known.width),
            What::Lane => 0.0,
            What::Condition(number) => {
                let condition = picture.arrows.get(number).and_then(|arrow| arrow.condition.as_deref());
                condition.map_or(0.0, |condition| wide(&short(condition)) * LABEL_CHARACTER).ceil()
            }
        }
    }
}

/// A condition as shown over its arrow.
fn short(condition: &str) -> String {
    if condition.chars().count() <= LABEL {
        return condition.to_owned();
    }
    condition.chars().take(LABEL - 1).chain(['…']).collect()
}

//! Places for boxes and arrows: in layers from left to right (Sugiyama, Tagawa and Toda, 1981).
//!
//! A box is one layer after the last box that it depends on; outcomes are in the last layer. An arrow over several layers has a
//! place in each, so that it never crosses a box. The order in a layer follows the mean position of the neighbours, in
//! alternating sweeps; adjacent boxes are swapped if that saves crossings (Gansner, Koutsofios, North and Vo, 1993), and the order
//! with the fewest crossings is kept. The boxes of a layer have one width. Heights follow the neighbours as far as the gaps allow
//! (pool adjacent violators).

use super::{BoxKind, LABEL_CHARACTER, LEGEND_ROW, Picture, label, legend};

const MARGIN: f64 = 24.0;
/// Between layers: room for arrows and their conditions.
const GAP_X: f64 = 60.0;
const GAP_Y: f64 = 24.0;
/// The height that an arrow needs in a layer it passes.
const LANE: f64 = 12.0;
const LINE: f64 = 17.0;
/// The width of a character of the title, and of other lines.
const TITLE_CHARACTER: f64 = 8.4;
const CHARACTER: f64 = 7.0;
const PADDING: f64 = 30.0;
/// Room for a duration after the last line of a box.
const TIMING: f64 = 58.0;
/// Room for the sign of a database beside the title, on both sides.
const SIGN: f64 = 36.0;
const NARROWEST: f64 = 110.0;
const SWEEPS: usize = 12;

/// A place in a layer: a box, or an arrow that passes.
struct Slot {
    what: Option<usize>,
    layer: usize,
    height: f64,
    /// The middle.
    y: f64,
    before: Vec<usize>,
    behind: Vec<usize>,
}

struct Layout {
    slots: Vec<Slot>,
    /// By layer: its slots from top to bottom.
    layers: Vec<Vec<usize>>,
    /// By arrow: its slots from one end to the other.
    routes: Vec<Vec<usize>>,
}

/// Gives every box and arrow of the picture its place.
pub(super) fn place(picture: &mut Picture) {
    for known in &mut picture.boxes {
        let sign = if known.kind == BoxKind::Query { SIGN } else { 0.0 };
        let title = wide(&known.title).mul_add(TITLE_CHARACTER, sign);
        let timing = |number: usize| match known.kind {
            BoxKind::Query | BoxKind::Rules if number + 1 == known.lines.len() && known.state.is_none() => TIMING,
            _ => 0.0,
        };
        let lines = known.lines.iter().enumerate().map(|(number, line)| wide(line).mul_add(CHARACTER, timing(number)));
        let lines = lines.fold(0.0, f64::max);
        known.width = (title.max(lines) + PADDING).max(NARROWEST).round();
        known.height = LINE.mul_add(size(known.lines.len()), 38.0);
    }
    let ranks = ranks(picture);
    align(picture, &ranks);
    let mut layout = Layout::new(picture, &ranks);
    layout.order();
    layout.settle();
    layout.apply(picture);
}

/// Makes the boxes of a layer equally wide.
fn align(picture: &mut Picture, ranks: &[usize]) {
    let mut widest = vec![0.0_f64; ranks.iter().max().map_or(0, |last| last + 1)];
    for (known, rank) in picture.boxes.iter().zip(ranks) {
        if let Some(width) = widest.get_mut(*rank) {
            *width = width.max(known.width);
        }
    }
    for (known, rank) in picture.boxes.iter_mut().zip(ranks) {
        known.width = widest.get(*rank).copied().unwrap_or(known.width);
    }
}

/// A length in characters of usual width: capitals are wider, East Asian ones and symbols twice as wide.
pub(super) fn wide(text: &str) -> f64 {
    let width = |c: char| match c {
        'W' | 'M' | '@' | '%' => 1.5,
        'm' | 'w' => 1.3,
        c if c.is_uppercase() => 1.15,
        c if (c as u32) < 0x1100 => 1.0,
        _ => 1.9,
    };
    text.chars().map(width).sum()
}

#[expect(clippy::cast_precision_loss, reason = "counts of boxes")]
fn size(count: usize) -> f64 {
    count as f64
}

impl Layout {
    fn new(picture: &Picture, ranks: &[usize]) -> Self {
        let mut slots: Vec<Slot> = picture
            .boxes
            .iter()
            .zip(ranks)
            .enumerate()
            .map(|(number, (known, layer))| Slot::new(Some(number), *layer, known.height))
            .collect();
        let mut routes = Vec::with_capacity(picture.arrows.len());
        for arrow in &picture.arrows {
            let (from, to) = (rank(ranks, arrow.from), rank(ranks, arrow.to));
            let mut route = vec![arrow.from];
            for layer in from + 1..to {
                route.push(slots.len());
                slots.push(Slot::new(None, layer, LANE));
            }
            route.push(arrow.to);
            for pair in route.windows(2) {
                let [a, b] = pair else { continue };
                if let Some(slot) = slots.get_mut(*a) {
                    slot.behind.push(*b);
                }
                if let Some(slot) = slots.get_mut(*b) {
                    slot.before.push(*a);
                }
            }
            routes.push(route);
        }
        let mut layers = vec![Vec::new(); ranks.iter().max().map_or(0, |last| last + 1)];
        for (number, slot) in slots.iter().enumerate() {
            if let Some(layer) = layers.get_mut(slot.layer) {
                layer.push(number);
            }
        }
        Self { slots, layers, routes }
    }

    /// Orders each layer by the mean place of its neighbours; the best order seen is kept.
    fn order(&mut self) {
        let mut best = self.layers.clone();
        let mut fewest = self.crossings();
        for sweep in 0..SWEEPS {
            let down = sweep % 2 == 0;
            let count = self.layers.len();
            for step in 0..count {
                self.order_layer(if down { step } else { count - 1 - step }, down);
            }
            (0..count).for_each(|layer| self.swap_neighbours(layer));
            let crossings = self.crossings();
            if crossings < fewest {
                (fewest, best) = (crossings, self.layers.clone());
            }
        }
        self.layers = best;
    }

    fn order_layer(&mut self, layer: usize, down: bool) {
        let places = self.places();
        let Some(slots) = self.layers.get_mut(layer) else { return };
        let mean = |slot: usize| {
            let known = self.slots.get(slot)?;
            let neighbours = if down { &known.before } else { &known.behind };
            let sum: f64 = neighbours.iter().filter_map(|other| places.get(*other)).sum();
            (!neighbours.is_empty()).then(|| sum / size(neighbours.len()))
        };
        let keys: Vec<f64> =
            slots.iter().map(|slot| mean(*slot).or_else(|| places.get(*slot).copied()).unwrap_or(0.0)).collect();
        let mut order: Vec<usize> = (0..slots.len()).collect();
        order.sort_by(|a, b| {
            let key = |at: &usize| keys.get(*at).copied().unwrap_or(0.0);
            key(a).total_cmp(&key(b)).then(a.cmp(b))
        });
        *slots = order.into_iter().filter_map(|at| slots.get(at).copied()).collect();
    }

    /// Swaps adjacent slots if that saves crossings.
    fn swap_neighbours(&mut self, layer: usize) {
        let places = self.places();
        let at = |slot: &usize| places.get(*slot).copied().unwrap_or(0.0);
        let crossings = |above: &[usize], below: &[usize]| {
            above.iter().map(|one| below.iter().filter(|other| at(other) < at(one)).count()).sum::<usize>()
        };
        let Some(slots) = self.layers.get_mut(layer) else { return };
        for place in 1..slots.len() {
            let pair = (slots.get(place - 1).copied(), slots.get(place).copied());
            let (Some(above), Some(below)) = pair else { continue };
            let (Some(one), Some(other)) = (self.slots.get(above), self.slots.get(below)) else { continue };
            let now = crossings(&one.before, &other.before) + crossings(&one.behind, &other.behind);
            let then = crossings(&other.before, &one.before) + crossings(&other.behind, &one.behind);
            if then < now {
                slots.swap(place - 1, place);
            }
        }
    }

    /// By slot: its place in its layer, from 0 to 1.
    fn places(&self) -> Vec<f64> {
        let mut places = vec![0.0; self.slots.len()];
        for layer in &self.layers {
            for (place, slot) in layer.iter().enumerate() {
                if let Some(known) = places.get_mut(*slot) {
                    *known = (size(place) + 0.5) / size(layer.len().max(1));
                }
            }
        }
        places
    }

    fn crossings(&self) -> usize {
        let places = self.places();
        let at = |slot: &usize| places.get(*slot).copied().unwrap_or(0.0);
        let mut count = 0;
        for layer in &self.layers {
            let mut lines: Vec<(f64, f64)> = Vec::new();
            for slot in layer {
                let Some(known) = self.slots.get(*slot) else { continue };
                for behind in &known.behind {
                    let line = (at(slot), at(behind));
                    count += lines.iter().filter(|other| (other.0 - line.0) * (other.1 - line.1) < 0.0).count();
                    lines.push(line);
                }
            }
        }
        count
    }

    /// Sets the heights: stacked first, then moved towards the neighbours.
    fn settle(&mut self) {
        for layer in 0..self.layers.len() {
            let mut y = 0.0;
            for slot in self.layers.get(layer).cloned().unwrap_or_default() {
                if let Some(known) = self.slots.get_mut(slot) {
                    known.y = y + known.height / 2.0;
                    y += known.height + GAP_Y;
                }
            }
        }
        for sweep in 0..SWEEPS * 2 {
            let count = self.layers.len();
            for step in 0..count {
                let layer = if sweep % 2 == 0 { step } else { count - 1 - step };
                self.settle_layer(layer, sweep % 2 == 0);
            }
        }
    }

    fn settle_layer(&mut self, layer: usize, down: bool) {
        let slots = self.layers.get(layer).cloned().unwrap_or_default();
        let y = |slot: usize| self.slots.get(slot).map_or(0.0, |known| known.y);
        let wish = |slot: usize| {
            let Some(known) = self.slots.get(slot) else { return 0.0 };
            let (first, second) = if down { (&known.before, &known.behind) } else { (&known.behind, &known.before) };
            let neighbours = if first.is_empty() { second } else { first };
            if neighbours.is_empty() {
                return known.y;
            }
            neighbours.iter().map(|other| y(*other)).sum::<f64>() / size(neighbours.len())
        };
        // The distance of each middle from the first one, if all are as close as possible.
        let mut offsets = Vec::with_capacity(slots.len());
        let mut offset = 0.0;
        for (number, slot) in slots.iter().enumerate() {
            let height = |slot: usize| self.slots.get(slot).map_or(0.0, |known| known.height);
            if let Some(above) = number.checked_sub(1).and_then(|above| slots.get(above)) {
                offset += f64::midpoint(height(*above), height(*slot)) + GAP_Y;
            }
            offsets.push(offset);
        }
        let wishes: Vec<f64> = slots.iter().zip(&offsets).map(|(slot, offset)| wish(*slot) - offset).collect();
        for ((slot, offset), base) in slots.iter().zip(&offsets).zip(rising(&wishes)) {
            if let Some(known) = self.slots.get_mut(*slot) {
                known.y = base + offset;
            }
        }
    }

    fn apply(&self, picture: &mut Picture) {
        let top = self.slots.iter().map(|slot| slot.y - slot.height / 2.0).fold(f64::INFINITY, f64::min);
        let top = if top.is_finite() { MARGIN - top } else { MARGIN };
        let gaps = self.gaps(picture);
        let mut left = MARGIN;
        let mut spans = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            let boxes = || layer.iter().filter_map(|slot| self.slots.get(*slot)?.what);
            let width =
                boxes().filter_map(|number| picture.boxes.get(number)).map(|known| known.width).fold(0.0, f64::max);
            spans.push((left, left + width));
            left += width + gaps.get(spans.len()).copied().unwrap_or(GAP_X);
        }
        let right = spans.last().map_or(left, |(_, right)| *right);
        let mut bottom = 0.0_f64;
        for slot in &self.slots {
            bottom = bottom.max(slot.y + slot.height / 2.0 + top);
            let Some(known) = slot.what.and_then(|number| picture.boxes.get_mut(number)) else { continue };
            known.x = spans.get(slot.layer).map_or(0.0, |(from, _)| *from);
            known.y = slot.y + top - slot.height / 2.0;
        }
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

    /// By layer: the room before it, enough for the conditions of the arrows that reach it.
    fn gaps(&self, picture: &Picture) -> Vec<f64> {
        let mut gaps = vec![GAP_X; self.layers.len()];
        for arrow in &picture.arrows {
            let Some(condition) = &arrow.condition else { continue };
            let layer = self.slots.get(arrow.to).map_or(0, |slot| slot.layer);
            if let Some(gap) = gaps.get_mut(layer) {
                *gap = gap.max(wide(&label(condition)).mul_add(LABEL_CHARACTER, 28.0));
            }
        }
        gaps
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
        let mut points = vec![(from.x + from.width, from.y + from.height * self.port(number, arrow.from, true))];
        for slot in route.iter().skip(1).take(route.len().saturating_sub(2)).filter_map(|slot| self.slots.get(*slot)) {
            let (left, right) = spans.get(slot.layer).copied().unwrap_or_default();
            points.push((left, slot.y + top));
            points.push((right, slot.y + top));
        }
        points.push((to.x, to.y + to.height * self.port(number, arrow.to, false)));
        points
    }

    /// The position on the side of a box where an arrow ends, from 0 to 1, in the order of the other ends.
    fn port(&self, number: usize, of: usize, leaving: bool) -> f64 {
        let other = |route: &Vec<usize>| {
            let next = if leaving { route.get(1) } else { route.len().checked_sub(2).and_then(|at| route.get(at)) };
            next.and_then(|slot| self.slots.get(*slot)).map_or(0.0, |slot| slot.y)
        };
        let end = |route: &Vec<usize>| if leaving { route.first().copied() } else { route.last().copied() };
        let mut ends: Vec<(f64, usize)> = self
            .routes
            .iter()
            .enumerate()
            .filter(|(_, route)| end(route) == Some(of))
            .map(|(number, route)| (other(route), number))
            .collect();
        ends.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let place = ends.iter().position(|(_, known)| *known == number).unwrap_or(0);
        (size(place) + 1.0) / (size(ends.len()) + 1.0)
    }
}

impl Slot {
    fn new(what: Option<usize>, layer: usize, height: f64) -> Self {
        Self { what, layer, height, y: 0.0, before: Vec::new(), behind: Vec::new() }
    }
}

/// By box: its layer.
fn ranks(picture: &Picture) -> Vec<usize> {
    let mut ranks = vec![0; picture.boxes.len()];
    // Boxes come after those that they depend on, so one pass is enough.
    for to in 0..ranks.len() {
        let before = picture.arrows.iter().filter(|arrow| arrow.to == to).map(|arrow| rank(&ranks, arrow.from) + 1);
        let layer = before.max().unwrap_or(0);
        if let Some(known) = ranks.get_mut(to) {
            *known = layer;
        }
    }
    let is_outcome = |place: usize| picture.boxes.get(place).is_some_and(|known| known.kind == BoxKind::Outcome);
    let last = ranks.iter().enumerate().filter(|(place, _)| !is_outcome(*place)).map(|(_, rank)| rank + 1).max();
    for (place, rank) in ranks.iter_mut().enumerate() {
        if is_outcome(place) {
            *rank = last.unwrap_or(0);
        }
    }
    // A box that depends on nothing is beside the first boxes, not beside the inputs.
    if picture.boxes.first().is_some_and(|first| first.kind == BoxKind::Input) {
        ranks.iter_mut().skip(1).filter(|rank| **rank == 0).for_each(|rank| *rank = 1);
    }
    ranks
}

fn rank(ranks: &[usize], of: usize) -> usize {
    ranks.get(of).copied().unwrap_or(0)
}

/// The rising sequence nearest to `wishes` (pool adjacent violators).
fn rising(wishes: &[f64]) -> Vec<f64> {
    let mut pools: Vec<(f64, usize)> = Vec::new();
    for wish in wishes {
        let mut pool = (*wish, 1);
        while let Some((mean, count)) = pools.pop_if(|(mean, _)| *mean > pool.0) {
            let all = count + pool.1;
            pool = ((mean * size(count) + pool.0 * size(pool.1)) / size(all), all);
        }
        pools.push(pool);
    }
    pools.into_iter().flat_map(|(mean, count)| std::iter::repeat_n(mean, count)).collect()
}

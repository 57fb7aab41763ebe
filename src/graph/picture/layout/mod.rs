//! Places for boxes and arrows: in layers from left to right (Sugiyama, Tagawa and Toda, 1981).
//!
//! A box is one layer after the last box that it depends on; outcomes are in the last layer. An arrow over several layers has a
//! place in each, so that it never crosses a box. The arrows of a box share these places, as one bundle that loses an arrow at each
//! box it reaches. A condition has a place of its own, in a layer before the box that its arrow reaches, so that no other arrow
//! passes through its text (as in Gansner, Koutsofios, North and Vo, 1993). The order in a layer follows the mean position of the neighbours, in
//! alternating sweeps; adjacent boxes are swapped if that saves crossings (the same), and the order
//! with the fewest crossings is kept. The boxes of a layer have one width. Heights follow the neighbours as far as the gaps allow
//! (pool adjacent violators).

mod apply;
mod order;

use super::{BoxKind, Picture};

const MARGIN: f64 = 24.0;
/// Between layers: room for arrows.
const GAP_X: f64 = 60.0;
/// The same on both sides of a layer of conditions.
const GAP_CONDITION: f64 = 40.0;
const GAP_Y: f64 = 24.0;
/// The height that an arrow needs in a layer it passes.
const LANE: f64 = 12.0;
/// The height of a condition over its arrow, and how far below its middle the arrow passes.
const CONDITION: f64 = 20.0;
const BELOW_CONDITION: f64 = 8.0;
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

/// A place in a layer.
struct Slot {
    what: What,
    layer: usize,
    height: f64,
    /// The middle.
    y: f64,
    before: Vec<usize>,
    behind: Vec<usize>,
}

/// What has a place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    /// A box, by its position.
    Box(usize),
    /// Arrows that pass.
    Lane,
    /// An arrow, by its position, with its condition over it.
    Condition(usize),
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
    let ranks = with_conditions(picture, ranks(picture));
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
            .map(|(number, (known, layer))| Slot::new(What::Box(number), *layer, known.height))
            .collect();
        // By box: the lanes of the arrows that leave it, from the layer behind it on.
        let mut bundles: Vec<Vec<usize>> = vec![Vec::new(); picture.boxes.len()];
        let mut routes = Vec::with_capacity(picture.arrows.len());
        for (number, arrow) in picture.arrows.iter().enumerate() {
            let (from, to) = (rank(ranks, arrow.from), rank(ranks, arrow.to));
            let condition = usize::from(arrow.condition.is_some());
            let passed = to.saturating_sub(from + 1 + condition);
            let mut route = vec![arrow.from];
            if let Some(bundle) = bundles.get_mut(arrow.from) {
                for layer in from + 1 + bundle.len()..=from + passed {
                    bundle.push(slots.len());
                    slots.push(Slot::new(What::Lane, layer, LANE));
                }
                route.extend(bundle.iter().take(passed));
            }
            if condition > 0 {
                route.push(slots.len());
                slots.push(Slot::new(What::Condition(number), to - 1, CONDITION));
            }
            route.push(arrow.to);
            route.windows(2).for_each(|pair| connect(&mut slots, pair));
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
}

impl Slot {
    fn new(what: What, layer: usize, height: f64) -> Self {
        Self { what, layer, height, y: 0.0, before: Vec::new(), behind: Vec::new() }
    }

    /// Where its arrows pass.
    fn line(&self) -> f64 {
        match self.what {
            What::Condition(_) => self.y + BELOW_CONDITION,
            What::Box(_) | What::Lane => self.y,
        }
    }
}

/// Makes two slots neighbours, once.
fn connect(slots: &mut [Slot], pair: &[usize]) {
    let [before, behind] = pair else { return };
    if let Some(slot) = slots.get_mut(*before).filter(|slot| !slot.behind.contains(behind)) {
        slot.behind.push(*behind);
    }
    if let Some(slot) = slots.get_mut(*behind).filter(|slot| !slot.before.contains(before)) {
        slot.before.push(*before);
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

/// Inserts a layer of conditions before each layer that arrows with conditions reach.
fn with_conditions(picture: &Picture, ranks: Vec<usize>) -> Vec<usize> {
    let conditional = picture.arrows.iter().filter(|arrow| arrow.condition.is_some());
    let mut reached: Vec<usize> = conditional.map(|arrow| rank(&ranks, arrow.to)).collect();
    reached.sort_unstable();
    reached.dedup();
    ranks.into_iter().map(|rank| rank + reached.iter().filter(|layer| **layer <= rank).count()).collect()
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

//! The order of boxes and lanes in their layers: few crossings (Gansner, Koutsofios, North and Vo, 1993).

use super::{Layout, SWEEPS, size};

impl Layout {
    /// Orders each layer by the mean place of its neighbours; the best order seen is kept.
    pub(super) fn order(&mut self) {
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
}

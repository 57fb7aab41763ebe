//! Curves as SVG.

use std::path::Path;

use plotters::coord::ranged1d::{Ranged, ValueFormatter};
use plotters::prelude::*;

/// Colours that people who do not see all of them can tell apart.
const COLOURS: [RGBColor; 4] =
    [RGBColor(0, 114, 178), RGBColor(213, 94, 0), RGBColor(0, 158, 115), RGBColor(127, 127, 127)];

/// Some curves over one axis.
pub struct Plot<'a> {
    /// What it shows.
    pub title: &'a str,
    /// What grows, and how it is counted.
    pub across: &'a str,
    /// What is measured, with its unit.
    pub up: &'a str,
    /// Whether both axes are logarithmic; then nothing may be zero.
    pub logarithmic: bool,
    /// Each curve by name.
    pub curves: Vec<(&'a str, Vec<(f64, f64)>)>,
}

impl Plot<'_> {
    /// Writes it to `file`. Nothing is drawn where there are no points.
    pub fn write(&self, file: &Path) {
        let points = || self.curves.iter().flat_map(|(_, points)| points);
        let reach = |of: fn(&(f64, f64)) -> f64| {
            points().map(of).fold((f64::INFINITY, 0.0_f64), |(least, most), value| (least.min(value), most.max(value)))
        };
        let ((left, right), (bottom, top)) = (reach(|point| point.0), reach(|point| point.1));
        if points().next().is_none() {
            return;
        }
        let root = SVGBackend::new(file, (760, 440)).into_drawing_area();
        root.fill(&WHITE).expect("drawn");
        let mut builder = ChartBuilder::on(&root);
        builder.caption(self.title, ("sans-serif", 18)).margin(12).x_label_area_size(44).y_label_area_size(72);
        if self.logarithmic {
            let across = (left * 0.9..(right * 1.1).max(left * 2.0)).log_scale();
            let up = (bottom * 0.7..top * 1.4).log_scale();
            self.draw(builder.build_cartesian_2d(across, up).expect("axes"));
        } else {
            let across = left..right.max(left + 1.0);
            self.draw(builder.build_cartesian_2d(across, 0.0..(top * 1.1).max(1.0)).expect("axes"));
        }
        root.present().expect("written");
    }

    fn draw<'a, X, Y>(&self, mut chart: ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, Y>>)
    where
        X: Ranged<ValueType = f64> + ValueFormatter<f64>,
        Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        let label = |value: &f64| format!("{}", (value * 1e3).round() / 1e3);
        let mut mesh = chart.configure_mesh();
        mesh.x_desc(self.across).y_desc(self.up).x_label_formatter(&label).y_label_formatter(&label);
        mesh.max_light_lines(1).light_line_style(RGBColor(240, 240, 240)).draw().expect("drawn");
        for ((name, points), colour) in self.curves.iter().zip(COLOURS.iter().cycle()) {
            let line = LineSeries::new(points.iter().copied(), colour.stroke_width(2));
            chart
                .draw_series(line)
                .expect("drawn")
                .label(*name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
            if points.len() < 40 {
                let dots = points.iter().map(|point| Circle::new(*point, 3, colour.filled()));
                chart.draw_series(dots).expect("drawn");
            }
        }
        let falls = self.curves.iter().any(|(_, points)| points.first().map(|p| p.1) > points.last().map(|p| p.1));
        let corner =
            if falls && self.logarithmic { SeriesLabelPosition::LowerLeft } else { SeriesLabelPosition::UpperLeft };
        let mut labels = chart.configure_series_labels();
        labels
            .position(corner)
            .background_style(WHITE.mix(0.8))
            .border_style(RGBColor(200, 200, 200))
            .draw()
            .expect("drawn");
    }
}

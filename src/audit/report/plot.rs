//! Plots as SVG: bars over time, one piece of a bar for each name.

use super::Series;
use crate::error::{Error, Result};
use plotters::prelude::*;

const WIDTH: u32 = 920;
const HEIGHT: u32 = 260;
/// Names that have a colour of their own; the rest are one.
const COLOURS: [RGBColor; 7] = [
    // Okabe and Ito's palette, which is told apart with any eyes.
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(213, 94, 0),
    RGBColor(120, 120, 120),
];
const OTHERS: &str = "all others";

/// A name, its numbers over time, and its colour as CSS writes it.
pub struct Layer {
    /// What is counted.
    pub name: String,
    /// One number a bin.
    pub bins: Vec<u64>,
    colour: RGBColor,
}

impl Layer {
    /// The sum.
    pub fn sum(&self) -> u64 {
        self.bins.iter().sum()
    }

    /// The colour, as CSS writes it.
    pub fn css(&self) -> String {
        let RGBColor(r, g, b) = self.colour;
        format!("#{r:02x}{g:02x}{b:02x}")
    }
}

/// The largest series, each with a colour, and the rest as one.
pub fn layers(series: &Series) -> Vec<Layer> {
    let mut sorted: Vec<_> = series.iter().collect();
    sorted.sort_by_key(|(_, bins)| std::cmp::Reverse(bins.iter().sum::<u64>()));
    let mut layers: Vec<Layer> = Vec::new();
    for (at, (name, bins)) in sorted.into_iter().enumerate() {
        let last = COLOURS.len() - 1;
        match layers.get_mut(last) {
            Some(others) if at >= last => {
                OTHERS.clone_into(&mut others.name);
                for (sum, more) in others.bins.iter_mut().zip(bins) {
                    *sum += more;
                }
            }
            _ => layers.push(Layer {
                name: name.clone(),
                bins: bins.clone(),
                colour: COLOURS.get(at).copied().unwrap_or(BLACK),
            }),
        }
    }
    layers
}

/// Bars over time, stacked. `label` names a bin.
///
/// # Errors
/// The plot cannot be drawn.
pub fn bars(layers: &[Layer], label: impl Fn(usize) -> String) -> Result<String> {
    let failed = |_| Error::Internal("a plot cannot be drawn");
    let bins = layers
        .iter()
        .map(|layer| layer.bins.len())
        .max()
        .unwrap_or(0);
    let sum_at = |at: usize| -> u64 {
        let of = |layer: &Layer| layer.bins.get(at).copied().unwrap_or(0);
        layers.iter().map(of).sum()
    };
    let highest = (0..bins).map(sum_at).max().unwrap_or(0).max(1);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, HEIGHT)).into_drawing_area();
        let right = i32::try_from(bins).unwrap_or(i32::MAX);
        let mut chart = ChartBuilder::on(&area)
            .margin(8)
            // The last label stands half outside.
            .margin_right(48)
            .x_label_area_size(28)
            .y_label_area_size(64)
            .build_cartesian_2d(0..right, 0..highest + highest.div_ceil(10))
            .map_err(failed)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(RGBColor(128, 128, 128).mix(0.25))
            .axis_style(RGBColor(128, 128, 128))
            .x_labels(8)
            .y_labels(5)
            .label_style(("sans-serif", 13))
            .x_label_formatter(&|at| usize::try_from(*at).map(&label).unwrap_or_default())
            .draw()
            .map_err(failed)?;
        let mut floor = vec![0; bins];
        for layer in layers {
            let pieces = layer.bins.iter().zip(floor.iter_mut()).zip(0..);
            let pieces = pieces.filter(|((many, _), _)| **many > 0);
            let pieces: Vec<_> = pieces
                .map(|((many, floor), at)| {
                    let begin = *floor;
                    *floor += many;
                    let mut piece =
                        Rectangle::new([(at, begin), (at + 1, *floor)], layer.colour.filled());
                    piece.set_margin(0, 0, 1, 1);
                    piece
                })
                .collect();
            chart.draw_series(pieces).map_err(failed)?;
        }
        area.present().map_err(failed)?;
    }
    Ok(svg)
}

//! The stats of a variety as a small chart: one axis for each, the further out the
//! better. Plain SVG, which needs no script.

use maud::{Markup, html};

use crate::{catalog::Stat, words::label};

/// Half of the side of the drawing, and the length of an axis.
const CENTRE: f64 = 150.0;
const RADIUS: f64 = 88.0;

/// A value that reaches the rim: few have more.
const RIM: u32 = 150;

/// Draw the chart.
pub(crate) fn chart(stats: &[Stat], title: &str) -> Markup {
    let rim = stats.iter().map(|stat| stat.value).max().unwrap_or(0);
    let rim = f64::from(rim.max(RIM));
    let shape: Vec<(f64, f64)> = stats
        .iter()
        .enumerate()
        .map(|(place, stat)| at(place, stats.len(), f64::from(stat.value) / rim))
        .collect();
    html! {
        svg.chart viewBox="-20 20 340 265" role="img" aria-label=(summary(stats, title)) {
            g.rings aria-hidden="true" {
                @for ring in 1..=3 { polygon points=(ring_points(stats.len(), f64::from(ring) / 3.0)) {} }
                @for place in 0..stats.len() {
                    @let (x, y) = at(place, stats.len(), 1.0);
                    line x1=(CENTRE) y1=(CENTRE) x2=(round(x)) y2=(round(y)) {}
                }
            }
            polygon.shape points=(points(&shape)) {}
            @for (x, y) in &shape { circle.corner cx=(round(*x)) cy=(round(*y)) r="3.5" {} }
            g.labels aria-hidden="true" {
                @for (place, stat) in stats.iter().enumerate() {
                    @let (x, y) = at(place, stats.len(), 1.0 + 26.0 / RADIUS);
                    text x=(round(x)) y=(round(y)) text-anchor=(anchor(x)) {
                        tspan.value { (stat.value) }
                        tspan.stat x=(round(x)) dy="13" { (short(&stat.name)) }
                    }
                }
            }
        }
    }
}

/// A label that fits beside the chart on a phone.
fn short(name: &str) -> String {
    label(name).replace("Special ", "Sp. ")
}

/// The chart in words.
fn summary(stats: &[Stat], title: &str) -> String {
    let values: Vec<String> = stats
        .iter()
        .map(|stat| format!("{} {}", label(&stat.name), stat.value))
        .collect();
    format!("{title}: {}", values.join(", "))
}

/// A point on the axis at `place`, `reach` of its length from the centre. The first
/// axis points up, the others follow clockwise.
fn at(place: usize, axes: usize, reach: f64) -> (f64, f64) {
    let turn = place as f64 / axes.max(1) as f64 * std::f64::consts::TAU;
    (
        CENTRE + RADIUS * reach * turn.sin(),
        CENTRE - RADIUS * reach * turn.cos(),
    )
}

fn ring_points(axes: usize, reach: f64) -> String {
    let ring: Vec<(f64, f64)> = (0..axes).map(|place| at(place, axes, reach)).collect();
    points(&ring)
}

fn points(shape: &[(f64, f64)]) -> String {
    let corners: Vec<String> = shape
        .iter()
        .map(|(x, y)| format!("{},{}", round(*x), round(*y)))
        .collect();
    corners.join(" ")
}

fn anchor(x: f64) -> &'static str {
    match x - CENTRE {
        offset if offset > 8.0 => "start",
        offset if offset < -8.0 => "end",
        _ => "middle",
    }
}

fn round(length: f64) -> f64 {
    (length * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(values: &[u32]) -> Vec<Stat> {
        let stat = |value: &u32| Stat {
            name: "special-attack".into(),
            value: *value,
        };
        values.iter().map(stat).collect()
    }

    #[test]
    fn the_best_value_reaches_the_rim_and_none_passes_it() {
        let html = chart(&stats(&[255, 0, 0, 0]), "Chansey").into_string();
        assert!(
            html.contains("points=\"150,62 150,150 150,150 150,150\""),
            "{html}"
        );
    }

    #[test]
    fn a_chart_can_be_read_aloud() {
        let html = chart(&stats(&[45, 49]), "Stats of Bulbasaur").into_string();
        assert!(
            html.contains(
                "aria-label=\"Stats of Bulbasaur: Special attack 45, Special attack 49\""
            ),
            "{html}"
        );
    }

    #[test]
    fn no_stats_are_no_trouble() {
        assert!(chart(&[], "x").into_string().contains("<svg"));
    }
}

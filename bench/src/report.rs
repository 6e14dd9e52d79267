//! The figures.

use serde::Serialize;

/// Figures by name, in the order of measuring.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    figures: Vec<Figure>,
}

#[derive(Debug, Serialize)]
struct Figure {
    name: &'static str,
    value: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    goal: Option<&'static str>,
}

impl Report {
    pub(crate) fn add(&mut self, name: &'static str, value: f64, goal: Option<&'static str>) {
        let value = (value * 1e3).round() / 1e3;
        eprintln!("  {name} {value}");
        self.figures.push(Figure { name, value, goal });
    }

    /// JSON for scripts, a table for people.
    pub(crate) fn print(&self) -> anyhow::Result<()> {
        eprintln!("\n{:<55} {:>12}  goal", "figure", "value");
        for figure in &self.figures {
            eprintln!("{:<55} {:>12}  {}", figure.name, figure.value, figure.goal.unwrap_or_default());
        }
        println!("{}", serde_json::to_string_pretty(self)?);
        Ok(())
    }
}

pub(crate) fn median(values: &mut [f64]) -> f64 {
    quantile(values, 0.5)
}

/// The value below which such a part of them lies, by nearest rank.
pub(crate) fn quantile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (values.len() as f64 * part).ceil() as usize;
    values[rank.clamp(1, values.len()) - 1]
}

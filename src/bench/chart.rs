//! The latency chart: p50 by batch, one panel for each model and number of threads.
//!
//! Runtimes differ in colour (Okabe and Ito's, which colour-blind readers tell apart) and
//! in the shape of the marks, so the chart can be read in black and white as well.

use plotters::coord::Shift;
use plotters::coord::combinators::IntoLogRange;
use plotters::element::ComposedElement;
use plotters::prelude::*;

use super::{Report, Row, table};
use crate::runtime::{Device, Runtime};
use crate::{Error, Result};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const PANEL: (u32, u32) = (430, 330);
const LEGEND_HEIGHT: u32 = 40;

/// A filled outline, in pixels around a point of the chart.
type Mark<DB, C> = ComposedElement<C, DB, Polygon<(i32, i32)>, PathElement<(i32, i32)>>;

/// Rows of one line in a panel: same runtime, same device.
type Series<'a> = ((Runtime, Device), Vec<&'a Row>);

/// The chart as SVG text.
///
/// # Errors
/// [`Error::Data`] if plotters cannot draw it.
pub(super) fn latency(report: &Report) -> Result<String> {
    let mut svg = String::new();
    draw(report, &mut svg).map_err(|e| Error::Data(format!("bench.svg cannot be drawn: {e}")))?;
    Ok(svg)
}

fn draw(report: &Report, svg: &mut String) -> Drawn<()> {
    let rows: Vec<&Row> = report.rows.iter().filter(|row| row.latency.is_some()).collect();
    let models = distinct(report.rows.iter().map(|row| &row.model));
    let threads = distinct(report.rows.iter().map(|row| row.threads));
    let batches = {
        let mut batches = distinct(report.rows.iter().map(|row| row.batch));
        batches.sort_unstable();
        batches
    };
    let (columns, lines) = (threads.len().max(1), models.len().max(1));
    let size = (PANEL.0 * columns as u32, PANEL.1 * lines as u32 + LEGEND_HEIGHT);
    let area = SVGBackend::with_string(svg, size).into_drawing_area();
    area.fill(&WHITE)?;
    let (legend, panels) = area.split_vertically(LEGEND_HEIGHT);
    draw_legend(&legend, &distinct(rows.iter().map(|row| (row.runtime, row.device))))?;
    let places = panels.split_evenly((lines, columns));
    let settings = models.iter().flat_map(|model| threads.iter().map(move |t| (*model, *t)));
    for (place, (model, threads)) in places.iter().zip(settings) {
        let here: Vec<&Row> =
            rows.iter().copied().filter(|r| &r.model == model && r.threads == threads).collect();
        let unit = if threads == 1 { "thread" } else { "threads" };
        let title = format!("{}, {threads} {unit}", table::model_name(model));
        draw_panel(place, &title, &batches, &here)?;
    }
    area.present()?;
    Ok(())
}

fn draw_panel(area: &Area, title: &str, batches: &[usize], rows: &[&Row]) -> Drawn<()> {
    let values: Vec<f64> = rows.iter().filter_map(|row| Some(row.latency?.p50_ms)).collect();
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(0.0, f64::max);
    if values.is_empty() {
        let middle = (PANEL.0 as i32 / 2 - 60, PANEL.1 as i32 / 2);
        area.draw(&Text::new(title.to_string(), (20, 20), ("sans-serif", 16)))?;
        area.draw(&Text::new("no case ran", middle, ("sans-serif", 14)))?;
        return Ok(());
    }
    let last = batches.len() as f64 - 0.5;
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 16))
        .margin(10)
        .margin_right(20)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(-0.5..last, (low / 1.5..high * 1.5).log_scale())?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(WHITE)
        .x_labels(batches.len() + 2)
        .x_label_formatter(&|x| batch_at(batches, *x))
        .x_desc("batch (patches per run)")
        .y_label_formatter(&|ms| label(*ms))
        .y_desc("p50 latency (ms, log scale)")
        .label_style(("sans-serif", 13))
        .draw()?;
    for ((runtime, device), rows) in series(rows) {
        let points: Vec<(f64, f64)> = rows.iter().filter_map(|row| point(batches, row)).collect();
        let style = line_style(runtime);
        match device {
            Device::Cpu => chart.draw_series(LineSeries::new(points.iter().copied(), style))?,
            Device::Cuda => {
                chart.draw_series(DashedLineSeries::new(points.iter().copied(), 6, 4, style))?
            }
        };
        chart.draw_series(points.into_iter().map(|at| mark(at, runtime, device)))?;
    }
    Ok(())
}

fn draw_legend(area: &Area, series: &[(Runtime, Device)]) -> Drawn<()> {
    for (place, (runtime, device)) in series.iter().enumerate() {
        let (x, y) = (20 + 130 * place as i32, LEGEND_HEIGHT as i32 / 2);
        area.draw(&PathElement::new([(x, y), (x + 30, y)], line_style(*runtime)))?;
        area.draw(&mark((x + 15, y), *runtime, *device))?;
        let name = format!("{runtime} on {device}");
        area.draw(&Text::new(name, (x + 38, y - 7), ("sans-serif", 14)))?;
    }
    Ok(())
}

fn colour(runtime: Runtime) -> RGBColor {
    match runtime {
        Runtime::Burn => RGBColor(213, 94, 0),
        Runtime::Ort => RGBColor(0, 114, 178),
        Runtime::Tract => RGBColor(0, 158, 115),
    }
}

fn line_style(runtime: Runtime) -> ShapeStyle {
    colour(runtime).stroke_width(2)
}

/// The mark of a point: square, circle or triangle; hollow on a GPU.
fn mark<DB: DrawingBackend, C: Copy>(at: C, runtime: Runtime, device: Device) -> Mark<DB, C> {
    let fill = match device {
        Device::Cpu => colour(runtime),
        Device::Cuda => WHITE,
    };
    let corners = outline(runtime);
    let line = PathElement::new([&corners[..], &corners[..1]].concat(), line_style(runtime));
    EmptyElement::at(at) + Polygon::new(corners, fill) + line
}

/// The corners of a runtime's mark, in pixels around its middle.
fn outline(runtime: Runtime) -> Vec<(i32, i32)> {
    let (corners, radius, start) = match runtime {
        Runtime::Burn => (4, 7.0, 0.125),
        Runtime::Ort => (24, 5.5, 0.0),
        Runtime::Tract => (3, 7.5, 0.75),
    };
    let corner = |i: i32| {
        let angle = std::f64::consts::TAU * (start + f64::from(i) / f64::from(corners));
        ((radius * angle.cos()).round() as i32, (radius * angle.sin()).round() as i32)
    };
    (0..corners).map(corner).collect()
}

fn point(batches: &[usize], row: &Row) -> Option<(f64, f64)> {
    let place = batches.iter().position(|&batch| batch == row.batch)?;
    Some((place as f64, row.latency?.p50_ms))
}

/// The batch size that stands at `x`; nothing between two of them.
fn batch_at(batches: &[usize], x: f64) -> String {
    let place = x.round();
    let near = (x - place).abs() < 0.01 && place >= 0.0;
    let batch = if near { batches.get(place as usize) } else { None };
    batch.map_or(String::new(), ToString::to_string)
}

fn label(ms: f64) -> String {
    if ms < 1.0 { format!("{ms:.2}") } else { format!("{ms:.0}") }
}

fn series<'a>(rows: &[&'a Row]) -> Vec<Series<'a>> {
    let keys = distinct(rows.iter().map(|row| (row.runtime, row.device)));
    let of = |key| rows.iter().copied().filter(|r| (r.runtime, r.device) == key).collect();
    keys.into_iter().map(|key| (key, of(key))).collect()
}

fn distinct<T: PartialEq>(items: impl Iterator<Item = T>) -> Vec<T> {
    items.fold(Vec::new(), |mut seen, item| {
        if !seen.contains(&item) {
            seen.push(item);
        }
        seen
    })
}

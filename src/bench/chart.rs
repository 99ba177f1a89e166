//! The latency chart: p50 by batch, one panel for each model and number of threads.
//!
//! Runtimes differ in the colour and the shape of their marks.

use std::ops::Range;
use std::path::PathBuf;

use plotters::coord::combinators::{BindKeyPoints, IntoLogRange};
use plotters::element::DashedPathElement;
use plotters::prelude::*;

use super::records::{Report, Row};
use super::table;
use crate::charts::{self, Area, BLUE, Drawn, FONT, GREEN, Mark, Shape, VERMILION, log_ticks, svg};
use crate::error::Result;
use crate::runtime::{Device, Runtime};

const PANEL: (u32, u32) = (430, 330);
const LEGEND_HEIGHT: u32 = 40;

/// Rows of one line in a panel: same runtime, same device.
type Series<'a> = ((Runtime, Device), Vec<&'a Row>);

/// The chart as SVG text.
///
/// # Errors
/// [`Error::Drawing`](crate::Error::Drawing) if plotters cannot draw it.
pub(super) fn latency(report: &Report) -> Result<String> {
    let models = distinct(report.rows.iter().map(|row| &row.model));
    let threads = distinct(report.rows.iter().map(|row| row.threads));
    let (columns, lines) = (threads.len().max(1), models.len().max(1));
    let size = (PANEL.0 * columns as u32, PANEL.1 * lines as u32 + LEGEND_HEIGHT);
    svg("bench.svg", size, |area| draw(area, report, &models, &threads))
}

fn draw(area: &Area, report: &Report, models: &[&PathBuf], threads: &[usize]) -> Drawn<()> {
    let rows: Vec<&Row> = report.rows.iter().filter(|row| row.latency.is_some()).collect();
    let mut batches = distinct(report.rows.iter().map(|row| row.batch));
    batches.sort_unstable();
    let (legend, panels) = area.split_vertically(LEGEND_HEIGHT);
    draw_legend(&legend, &distinct(rows.iter().map(|row| (row.runtime, row.device))))?;
    let places = panels.split_evenly((models.len().max(1), threads.len().max(1)));
    let settings = models.iter().flat_map(|model| threads.iter().map(move |t| (*model, *t)));
    for (place, (model, threads)) in places.iter().zip(settings) {
        let here: Vec<&Row> =
            rows.iter().copied().filter(|r| &r.model == model && r.threads == threads).collect();
        let unit = if threads == 1 { "thread" } else { "threads" };
        let title = format!("{}, {threads} {unit}", table::model_name(model));
        let range = latencies(rows.iter().copied().filter(|row| &row.model == model));
        draw_panel(place, &title, &batches, range, &here)?;
    }
    Ok(())
}

/// `range` is the latency's, in ms, the same for all panels of a model.
fn draw_panel(
    area: &Area,
    title: &str,
    batches: &[usize],
    range: Range<f64>,
    rows: &[&Row],
) -> Drawn<()> {
    if rows.is_empty() {
        let middle = (PANEL.0 as i32 / 2 - 40, PANEL.1 as i32 / 2);
        area.titled(title, (FONT, 16))?;
        area.draw(&Text::new("no case ran", middle, (FONT, 14)))?;
        return Ok(());
    }
    let last = batches.len() as f64 - 0.5;
    let ticks = log_ticks(&range, 1e4);
    let mut chart = ChartBuilder::on(area)
        .caption(title, (FONT, 16))
        .margin(10)
        .margin_right(20)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(-0.5..last, range.log_scale().with_key_points(ticks))?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(WHITE)
        .x_labels(batches.len() + 2)
        .x_label_formatter(&|x| batch_at(batches, *x))
        .x_desc("batch (patches per run)")
        .y_label_formatter(&ToString::to_string)
        .y_desc("p50 latency (ms, log scale)")
        .label_style((FONT, 13))
        .draw()?;
    for ((runtime, device), rows) in series(rows) {
        let points: Vec<(f64, f64)> = rows.iter().filter_map(|row| point(batches, row)).collect();
        let (line, style) = (points.iter().copied(), line_style(runtime));
        match device {
            Device::Cpu => chart.draw_series(LineSeries::new(line, style))?,
            Device::Cuda => chart.draw_series(DashedLineSeries::new(line, 6, 4, style))?,
        };
        chart.draw_series(points.into_iter().map(|at| mark(at, runtime, device)))?;
    }
    Ok(())
}

/// A range with some air around all latencies of `rows`; any if there are none.
fn latencies<'a>(rows: impl Iterator<Item = &'a Row>) -> Range<f64> {
    let values: Vec<f64> = rows.filter_map(|row| Some(row.latency?.p50_ms)).collect();
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(0.0, f64::max);
    if values.is_empty() { 1.0..10.0 } else { low / 1.5..high * 1.5 }
}

fn draw_legend(area: &Area, series: &[(Runtime, Device)]) -> Drawn<()> {
    for (place, (runtime, device)) in series.iter().enumerate() {
        let (x, y) = (20 + 130 * place as i32, LEGEND_HEIGHT as i32 / 2);
        let line = [(x, y), (x + 30, y)];
        let style = line_style(*runtime);
        match device {
            Device::Cpu => area.draw(&PathElement::new(line, style))?,
            Device::Cuda => area.draw(&DashedPathElement::new(line, 6, 4, style))?,
        }
        area.draw(&mark((x + 15, y), *runtime, *device))?;
        let name = format!("{runtime} on {device}");
        area.draw(&Text::new(name, (x + 38, y - 7), (FONT, 14)))?;
    }
    Ok(())
}

fn colour(runtime: Runtime) -> RGBColor {
    match runtime {
        Runtime::Burn => VERMILION,
        Runtime::Ort => BLUE,
        Runtime::Tract => GREEN,
    }
}

fn line_style(runtime: Runtime) -> ShapeStyle {
    colour(runtime).stroke_width(2)
}

fn shape(runtime: Runtime) -> Shape {
    match runtime {
        Runtime::Burn => Shape::Square,
        Runtime::Ort => Shape::Circle,
        Runtime::Tract => Shape::Triangle,
    }
}

/// The mark of a point; hollow on a GPU.
fn mark<DB: DrawingBackend, C>(at: C, runtime: Runtime, device: Device) -> Mark<DB, C> {
    let fill = match device {
        Device::Cpu => colour(runtime),
        Device::Cuda => WHITE,
    };
    charts::mark(at, shape(runtime), fill, colour(runtime))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{Latency, Machine};

    fn row(model: &str, runtime: Runtime, device: Device, threads: usize, batch: usize) -> Row {
        let mut row = Row::new(model.as_ref(), runtime, device, threads, batch);
        let speed = [4.0, 1.0, 2.0][runtime as usize] / [1.0, 30.0][device as usize];
        let p50_ms = speed * batch as f64 / threads as f64;
        row.latency = Some(Latency { p50_ms, p90_ms: p50_ms, p99_ms: p50_ms, runs: 1 });
        row
    }

    fn report(rows: Vec<Row>) -> Report {
        Report { machine: Machine::here(&[]), seconds_per_case: 1.0, seed: 0, rows }
    }

    #[test]
    fn every_model_thread_count_and_runtime_is_in_the_chart() {
        let mut rows = Vec::new();
        for (model, threads) in [("a.onnx", 1), ("a.onnx", 2), ("b.onnx", 1), ("b.onnx", 2)] {
            for batch in [1, 8, 32] {
                rows.push(row(model, Runtime::Burn, Device::Cpu, threads, batch));
                rows.push(row(model, Runtime::Ort, Device::Cuda, threads, batch));
                rows.push(row(model, Runtime::Tract, Device::Cpu, threads, batch));
            }
        }
        rows.push(Row::new("c.onnx".as_ref(), Runtime::Ort, Device::Cpu, 2, 8));
        let svg = latency(&report(rows)).unwrap();
        for text in [
            "a, 1 thread",
            "b, 2 threads",
            "c, 2 threads",
            "no case ran",
            "burn on cpu",
            "ort on cuda",
        ] {
            assert!(svg.contains(text), "{text}");
        }
    }

    #[test]
    fn odd_reports_can_be_drawn() {
        assert!(latency(&report(vec![])).unwrap().contains("</svg>"));
        let mut extreme = row("a.onnx", Runtime::Ort, Device::Cpu, 1, 1);
        extreme.latency = Some(Latency { p50_ms: 1e-5, p90_ms: 1.0, p99_ms: 1.0, runs: 1 });
        let rows = vec![extreme, row("a.onnx", Runtime::Tract, Device::Cpu, 1, 100_000)];
        assert!(latency(&report(rows)).unwrap().contains("100000"));
    }
}

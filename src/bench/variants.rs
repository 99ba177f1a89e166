//! Smaller variants of a model beside the one in 32-bit floats.

use std::path::{Path, PathBuf};

use super::records::{Report, Row};
use crate::run::model_file;

/// A variant's case and the same case of the model in 32-bit floats.
#[derive(Clone, Copy, Debug)]
pub(super) struct Comparison<'a> {
    pub variant: &'a Row,
    pub fp32: &'a Row,
}

impl Comparison<'_> {
    /// How often the variant answers while the other answers once.
    pub fn speed(&self) -> Option<f64> {
        Some(self.fp32.latency?.p50_ms / self.variant.latency?.p50_ms)
    }

    /// The variant's accuracy less the other's, in points.
    pub fn points(&self) -> Option<f64> {
        Some((self.variant.quality()? - self.fp32.quality()?) * 100.0)
    }

    /// The variant's size as a share of the other's.
    pub fn size(&self) -> Option<f64> {
        Some(self.variant.model_bytes? as f64 / self.fp32.model_bytes? as f64)
    }
}

/// Every variant's cases that ran, each with the case of the same run's model in 32-bit floats
/// that takes the same input, if that was measured too.
pub(super) fn comparisons(report: &Report) -> Vec<Comparison<'_>> {
    let is_fp32 = |row: &Row| row.precision.as_deref().is_none_or(|name| name == "fp32");
    let fp32: Vec<&Row> = report.rows.iter().filter(|row| is_fp32(row)).collect();
    let variants = report.rows.iter().filter(|row| !is_fp32(row) && row.latency.is_some());
    let same = |a: &Row, b: &Row| {
        let case = |row: &Row| (row.runtime, row.device, row.threads, row.batch);
        case(a) == case(b) && family(a) == family(b) && b.latency.is_some()
    };
    let find = |variant| {
        let fp32 = fp32.iter().find(|row| same(variant, row))?;
        Some(Comparison { variant, fp32 })
    };
    variants.filter_map(find).collect()
}

/// What variants have in common: their folder, and the name without the precision.
fn family(row: &Row) -> (PathBuf, String) {
    let file = model_file(&row.model);
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let ending = row.precision.as_ref().map(|precision| format!("-{precision}"));
    let stem = ending.and_then(|ending| stem.strip_suffix(&ending)).unwrap_or(&stem);
    (file.parent().unwrap_or(Path::new("")).to_owned(), stem.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::machine::Machine;
    use super::super::records::Latency;
    use super::*;
    use crate::runtime::{Device, Runtime};

    fn row(model: &str, precision: &str, runtime: Runtime, ms: f64, bytes: u64) -> Row {
        let latency = Latency { p50_ms: ms, p90_ms: ms, p99_ms: ms, runs: 1 };
        Row {
            precision: Some(precision.to_owned()),
            latency: Some(latency),
            accuracy: Some(ms / 10.0),
            model_bytes: Some(bytes),
            ..Row::new(Path::new(model), runtime, Device::Cpu, 1, 1)
        }
    }

    #[test]
    fn a_variant_is_compared_with_its_own_model_in_the_same_runtime() {
        let rows = vec![
            row("a/waveform.onnx", "fp32", Runtime::Ort, 8.0, 400),
            row("a/model.onnx", "fp32", Runtime::Tract, 5.0, 400),
            row("b/waveform.onnx", "fp32", Runtime::Tract, 6.0, 400),
            row("a/waveform-int8.onnx", "int8", Runtime::Tract, 3.0, 100),
            row("a/waveform-int8.onnx", "int8", Runtime::Ort, 4.0, 100),
        ];
        let machine = Machine::here(&[]);
        let report = Report { machine, seconds_per_case: 1.0, seed: 0, rows };
        let [found] = comparisons(&report)[..] else { panic!("not one comparison") };
        assert_eq!(found.fp32.model, Path::new("a/waveform.onnx"));
        assert_eq!((found.speed(), found.size()), (Some(2.0), Some(0.25)));
        assert_eq!(found.points().map(f64::round), Some(-40.0));
    }
}

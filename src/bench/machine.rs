//! Facts about the machine, without which no figure means anything.

use std::fs;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::runtime::Runtime;

/// Where and when a benchmark ran.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name, as the system knows it.
    pub cpu: String,
    /// Cores this process may use.
    pub cores: usize,
    /// GPUs, as the NVIDIA driver names them.
    pub gpus: Vec<String>,
    /// Operating system, kernel and architecture.
    pub os: String,
    /// Name and version of each runtime of the plan that is there.
    pub runtimes: Vec<String>,
    /// Day and time (UTC), as 2026-01-31 23:59.
    pub date: String,
}

impl Machine {
    /// This machine now, with the versions of `runtimes`.
    pub fn here(runtimes: &[Runtime]) -> Self {
        let versions = runtimes.iter().filter_map(|r| Some(format!("{r} {}", r.version()?)));
        Self {
            cpu: cpu().unwrap_or_else(|| "unknown".into()),
            cores: thread::available_parallelism().map_or(1, |n| n.get()),
            gpus: gpus(),
            os: os(),
            runtimes: versions.collect(),
            date: date(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())),
        }
    }

    /// The facts as lines of "what: value".
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("CPU: {} ({} cores)", self.cpu, self.cores)];
        if !self.gpus.is_empty() {
            lines.push(format!("GPU: {}", self.gpus.join(", ")));
        }
        lines.push(format!("System: {}", self.os));
        lines.push(format!("Runtimes: {}", self.runtimes.join(", ")));
        lines.push(format!("Date: {} UTC", self.date));
        lines
    }
}

/// The value after "key:" in a text of such lines.
fn value(text: &str, key: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(key))?;
    Some(line.split_once(['=', ':'])?.1.trim().trim_matches('"').to_string())
}

fn cpu() -> Option<String> {
    if cfg!(target_os = "macos") {
        let sysctl = std::process::Command::new("sysctl");
        let output = { sysctl }.args(["-n", "machdep.cpu.brand_string"]).output().ok()?;
        return Some(String::from_utf8_lossy(&output.stdout).trim().to_string());
    }
    value(&fs::read_to_string("/proc/cpuinfo").ok()?, "model name")
}

fn gpus() -> Vec<String> {
    let folders = fs::read_dir("/proc/driver/nvidia/gpus").into_iter().flatten().flatten();
    let facts = folders.filter_map(|gpu| fs::read_to_string(gpu.path().join("information")).ok());
    facts.filter_map(|text| value(&text, "Model")).collect()
}

fn os() -> String {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = value(&release, "PRETTY_NAME").unwrap_or_else(|| std::env::consts::OS.to_string());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let parts = [name.as_str(), kernel.trim(), std::env::consts::ARCH];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

/// Day and time of a Unix time in UTC. Days to civil date: Howard Hinnant,
/// <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>.
fn date(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153; // 0 is March
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}", rest / 3600, rest / 60 % 60)
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn dates_are_right_around_leap_days() {
        assert_eq!(date(0), "1970-01-01 00:00");
        assert_eq!(date(951_782_399), "2000-02-28 23:59");
        assert_eq!(date(951_782_400), "2000-02-29 00:00");
        assert_eq!(date(1_798_761_599), "2026-12-31 23:59");
    }
}

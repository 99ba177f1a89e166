//! Compares finished runs on one page, in one PDF and in Markdown.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Parser;
use genre_transfer::cli;
use genre_transfer::report::Report;

const EXAMPLES: &str = "\
Examples:
  report runs                                    all runs in a folder
  report runs/yamnet-gtzan runs/simple-gtzan --output reports/two
  report runs --bench runs/bench/bench.json      with latencies of bench-runtimes
  report runs --data data/gtzan                  where the clips of mistakes are

Writes report.html, report.pdf and results.md with its figures. Runs that were tested on
different tracks are in different tables. Exits with 1 if a folder is no run.";

/// Compare finished runs: tables, significance, charts, mistakes, discussion.
#[derive(Parser)]
#[command(name = "report", version, after_help = EXAMPLES)]
struct Cli {
    /// Run folders, or folders of runs
    #[arg(required = true, value_name = "RUN_DIR")]
    runs: Vec<PathBuf>,
    /// What bench-runtimes has measured; may be given several times
    #[arg(long, value_name = "FILE")]
    bench: Vec<PathBuf>,
    /// Collection whose clips are drawn [default: the one that each run names]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where the report goes
    #[arg(long, default_value = "runs/report", value_name = "DIR")]
    output: PathBuf,
    /// Print the figures as JSON on standard output
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    cli::main("report", || run(&cli::parse()))
}

fn run(cli: &Cli) -> Result<()> {
    if let Some(data) = cli.data.as_deref().filter(|data| !data.is_dir()) {
        bail!("--data {}: no such folder", data.display());
    }
    let report = Report::read(&cli.runs, &cli.bench)?;
    let written = report.document(cli.data.as_deref())?.write(&cli.output)?;
    let summary = report.summary();
    if cli.json {
        let json = serde_json::json!({ "written": written, "report": summary });
        cli::println(serde_json::to_string_pretty(&json)?)?;
    } else {
        let tagged = summary.multi_label.iter().map(|table| &table.headline);
        summary
            .tables
            .iter()
            .map(|table| &table.headline)
            .chain(tagged)
            .try_for_each(cli::println)?
    }
    if written.pdf.is_none() {
        genre_transfer::say!("no report.pdf: this was built without the feature pdf");
    }
    for path in [Some(&written.html), written.pdf.as_ref(), Some(&written.markdown)] {
        path.iter().for_each(|path| genre_transfer::say!("written: {}", path.display()));
    }
    Ok(())
}

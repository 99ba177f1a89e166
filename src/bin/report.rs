//! Compares finished runs on one page, in one PDF and in Markdown.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Parser;
use genre_transfer::cli;
use genre_transfer::report::{Report, TitlePage};

const EXAMPLES: &str = "\
Examples:
  report runs                                    all runs in a folder
  report runs/yamnet-gtzan runs/simple-gtzan --output reports/two
  report runs --bench runs/bench/bench.json      with latencies of bench-runtimes
  report runs --data data/gtzan                  where the clips of mistakes are
  report runs --title 'Lab 2' --author 'Ada Lovelace' --date 2026-11-29

Writes report.html, report.pdf, results.md with its figures, and typst/, which the PDF is made
of: by the typst that is built in (cargo feature pdf), on the PATH, or fetched by scripts/setup.sh. Runs that were tested on
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
    /// Title of the report
    #[arg(long)]
    title: Option<String>,
    /// Who hands it in; may be given several times
    #[arg(long, value_name = "NAME")]
    author: Vec<String>,
    /// An address to stand below the authors
    #[arg(long, value_name = "URL")]
    link: Option<String>,
    /// A date to stand there; without one the same runs give the same report
    #[arg(long)]
    date: Option<String>,
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
    let page = TitlePage {
        title: cli.title.clone(),
        authors: cli.author.clone(),
        link: cli.link.clone(),
        date: cli.date.clone(),
    };
    let written = report.document(cli.data.as_deref())?.titled(&page).write(&cli.output)?;
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
        genre_transfer::say!(
            "no report.pdf: no typst at hand has set it; run scripts/setup.sh, or: typst compile {}",
            written.typst.join("report.typ").display()
        );
    }
    for path in [Some(&written.html), written.pdf.as_ref(), Some(&written.markdown)] {
        path.iter().for_each(|path| genre_transfer::note!("written: {}", path.display()));
    }
    Ok(())
}

//! From runs to the document: which tables and charts there are, and in what order.

use std::path::{Path, PathBuf};

use super::charts::{self, Axis, Point, Scatter};
use super::colour_map;
use super::discussion;
use super::document::{Document, Figure, Table};
use super::entry::Entry;
use super::group::{self, Common, Group, Seeds, mean_and_deviation};
use super::leaky::{Leak, leaks};
use super::mistakes;
use super::search::blocks;
use super::significance::compare;
use super::text::{
    UNKNOWN, capital, counted, interval, listed, megabytes, p_value, percent, percent_number,
    probability, thousands, three_digits,
};
use super::{Report, Titles};
use crate::charts::curves;
use crate::error::Result;
use crate::progress;
use crate::run::{CrossValidation, Kind, Rung, Trial};
use crate::runtime::Runtime;

/// Genres a table has room for.
const GENRES_A_TABLE: usize = 10;
/// Mistakes that are shown of a group's best model.
const MISTAKES: usize = 6;
/// Trials of a search that are listed.
const TRIALS: usize = 10;

/// The document of `report`; clips are looked for in `data`, else where the runs say.
pub(super) fn document(report: &Report, data: Option<&Path>) -> Result<Document> {
    let entries = &report.entries;
    let groups = group::groups(entries);
    let composer = Composer {
        titles: Titles::new(entries),
        numbers: groups.iter().flat_map(|group| &group.entries).map(|e| &*e.folder).collect(),
        folders: mistakes::folders(data, entries),
    };
    let common = group::common(&groups, report.seed());
    let leaks = leaks(entries);
    let mut document = Document { title: "Music genres: models compared".into(), blocks: vec![] };
    composer.summary(&mut document, report, &groups, &common, &leaks);
    composer.data(&mut document, entries);
    for (number, group) in groups.iter().enumerate() {
        composer.group(&mut document, group, number + 1, groups.len())?;
    }
    for (number, common) in common.iter().enumerate() {
        composer.common(&mut document, common, number + 1)?;
    }
    composer.leaky(&mut document, &leaks);
    composer.seeds(&mut document, &group::seeds(entries));
    composer.cross_validations(&mut document, entries);
    composer.searches(&mut document, entries)?;
    composer.curves(&mut document, entries)?;
    composer.discussion(&mut document, &groups, &common, &leaks);
    composer.reading(&mut document, report);
    Ok(document)
}

struct Composer<'a> {
    titles: Titles,
    /// Runs in the order of their numbers.
    numbers: Vec<&'a Path>,
    folders: Vec<PathBuf>,
}

impl Composer<'_> {
    /// The number of a run in tables and charts, from one.
    fn number(&self, entry: &Entry) -> usize {
        self.numbers.iter().position(|folder| *folder == entry.folder).map_or(0, |n| n + 1)
    }

    /// `200 test tracks of gtzan`.
    fn tracks_of(&self, group: &Group) -> String {
        let mut names: Vec<String> = group.entries.iter().map(|e| e.data.name.clone()).collect();
        names.sort();
        names.dedup();
        format!("{} of {}", counted(group.tracks(), "test track"), listed(&names))
    }

    fn summary(
        &self,
        document: &mut Document,
        report: &Report,
        groups: &[Group],
        common: &[Common],
        leaks: &[Leak],
    ) {
        document.heading(2, "Summary");
        let mut items: Vec<String> =
            groups.iter().map(|group| discussion::headline(group, &self.titles)).collect();
        let shared = common.iter().map(|common| discussion::shared(common, &self.titles));
        items.extend(shared.filter_map(|sentences| sentences.into_iter().next()));
        items.extend(discussion::leaks(leaks, &self.titles).into_iter().next());
        if groups.len() > 1 {
            items.push(format!(
                "The runs were tested on {} different sets of tracks, and each set has a table of \
                 its own: accuracies of different tables must not be compared.",
                groups.len()
            ));
        }
        document.list(items);
        document.paragraph(format!("{} in this report.", {
            let kinds = Kind::ALL.iter().filter_map(|kind| {
                let count = report.entries.iter().filter(|entry| entry.kind == *kind).count();
                (count > 0).then(|| format!("{count} {}", of_kind(*kind, count)))
            });
            listed(&kinds.collect::<Vec<_>>())
        }));
    }

    fn data(&self, document: &mut Document, entries: &[Entry]) {
        document.heading(2, "Data and splits");
        let mut table = Table::new(
            "Which tracks the runs learned from and were tested on",
            &[
                "Run",
                "Data",
                "Tracks>",
                "Skipped>",
                "Split",
                "Seed>",
                "Train>",
                "Validation>",
                "Test>",
                "Tested>",
            ],
        );
        for entry in sorted_by(entries, |entry| (self.number(entry) == 0, self.number(entry))) {
            let split = &entry.split;
            table.row([
                entry.run.clone(),
                entry.data.name.clone(),
                thousands(entry.data.tracks),
                thousands(entry.data.skipped),
                split.method.to_string(),
                split.seed.to_string(),
                thousands(split.train.len()),
                thousands(split.validation.len()),
                thousands(split.test.len()),
                thousands(entry.test.tracks.count),
            ]);
        }
        table.note =
            "Tracks: those at hand. Train, Validation, Test: what the split lists, of files \
                      at hand or not. Tested: test tracks at hand; of a leaky split, songs with a \
                      window in the test part."
                .into();
        document.table(table);
        let mut genres: Vec<String> = entries.iter().map(|e| e.genres().join(", ")).collect();
        genres.sort();
        genres.dedup();
        for genres in genres {
            document.paragraph(format!("Genres: {genres}."));
        }
        self.colour_map(document, entries);
    }

    /// How pictures are read, shown by one of them.
    fn colour_map(&self, document: &mut Document, entries: &[Entry]) {
        let Some(sample) = colour_map::sample(entries, &self.folders) else { return };
        let ((width, height), (columns, rows)) = (sample.size, sample.plot);
        document.heading(3, "From picture to intensity");
        document.paragraph(format!(
            "A picture is a plot by matplotlib: white margins and a dark frame, one pixel wide, are \
             cut off, which leaves {columns} × {rows} of {width} × {height} pixels. Every colour \
             inside is one of the 256 different ones of the colour map magma and becomes its place \
             in that map, one channel of intensity from which every colour could be told again; \
             networks are given its rows averaged to mel bands."
        ));
        let figure = |file: &str, caption: String, alt: &str, image| Figure {
            file: file.into(),
            caption,
            alt: alt.into(),
            image,
        };
        let before = figure(
            "colour-map-before.png",
            format!("{} as it is", sample.name),
            "A spectrogram in the colours of magma, inside a frame and white margins",
            sample.before,
        );
        let after = figure(
            "colour-map-after.png",
            "The intensity read from it".into(),
            "The same spectrogram in grey, without frame and margins",
            sample.after,
        );
        document.figures(2, vec![before, after]);
    }

    fn group(
        &self,
        document: &mut Document,
        group: &Group,
        number: usize,
        of: usize,
    ) -> Result<()> {
        let tracks = self.tracks_of(group);
        document.heading(
            2,
            match of {
                1 => format!("Models on {tracks}"),
                _ => format!("Table {number} of {of}: models on {tracks}"),
            },
        );
        document.table(self.models(group));
        let intervals = vec![self.intervals(group, number)?];
        document.figures(2, [intervals, self.pareto(group, number)?].concat());
        self.comparisons(document, group);
        document.heading(3, "By genre");
        self.by_genre(document, group, "Recall: of a genre's tracks, the share found (%)", |s| {
            (s.support > 0).then_some(s.recall)
        });
        self.by_genre(
            document,
            group,
            "Precision: of the tracks given a genre, the share that is right (%)",
            |s| (s.precision > 0.0 || s.recall > 0.0 || s.support > 0).then_some(s.precision),
        );
        document.heading(3, "Confusion matrices");
        let one = |entry: &&Entry| self.confusion(entry);
        document.figures(3, group.entries.iter().map(one).collect::<Result<_>>()?);
        self.mistakes(document, group);
        Ok(())
    }

    fn models(&self, group: &Group) -> Table {
        let mut table = Table::new(
            format!("All models, tested on the same {}", counted(group.tracks(), "track")),
            &[
                "#>",
                "Model",
                "Run",
                "Accuracy %>",
                "95 % interval>",
                "Macro-F1>",
                "Patches right %>",
                "Tracks at hand>",
                "Parameters>",
                "ONNX MB>",
                "Training s>",
                "ort ms/patch>",
                "tract ms/patch>",
            ],
        );
        let known = |value: Option<f64>| value.map_or(UNKNOWN.into(), three_digits);
        for entry in &group.entries {
            let tracks = &entry.test.tracks;
            table.row([
                self.number(entry).to_string(),
                entry.label.clone(),
                entry.run.clone(),
                percent_number(tracks.accuracy),
                interval(tracks.interval),
                format!("{:.3}", tracks.macro_f1),
                percent_number(entry.test.patch_accuracy),
                thousands(entry.data.tracks),
                entry.parameters.map_or(UNKNOWN.into(), thousands),
                entry.onnx_bytes.map_or(UNKNOWN.into(), megabytes),
                known(entry.seconds),
                known(entry.patch_ms(Runtime::Ort)),
                known(entry.patch_ms(Runtime::Tract)),
            ]);
        }
        table.note = "Accuracy: share of tracks given the right genre, a track by the mean \
                      probability of its patches; the interval is a bootstrap over the test tracks, \
                      which has none where all are right. \
                      Patches right: the same for single patches, or rows of a table of features."
            .into();
        if group.entries.iter().any(|entry| entry.track_ms().is_some()) {
            table.note += " ms/patch: median milliseconds for one patch on one CPU thread, \
                           without spectrogram or features; patches of different models differ \
                           in length.";
        }
        table.without_empty_columns()
    }

    fn intervals(&self, group: &Group, number: usize) -> Result<Figure> {
        let rows: Vec<_> = group
            .entries
            .iter()
            .map(|entry| {
                let tracks = &entry.test.tracks;
                (self.titles.of(entry), entry.kind, tracks.accuracy, tracks.interval)
            })
            .collect();
        Ok(Figure {
            file: format!("accuracy-{number}.svg"),
            caption: format!(
                "Accuracy on {}, with 95 % intervals",
                counted(group.tracks(), "test track")
            ),
            alt: described(&rows),
            image: charts::intervals(&rows)?.into_bytes(),
        })
    }

    /// Accuracy against latency and against size, each where it is known of two models.
    fn pareto(&self, group: &Group, number: usize) -> Result<Vec<Figure>> {
        type Cost = fn(&Entry) -> Option<f64>;
        let costs: [(&str, &str, Cost); 2] = [
            ("latency", "inference for a track (ms, one thread)", Entry::track_ms),
            ("size", "ONNX file (MB)", |entry| Some(entry.onnx_bytes? as f64 / 1e6)),
        ];
        let mut figures = vec![];
        for (name, axis, cost) in costs {
            let point = |entry: &&Entry| {
                Some(Point {
                    label: self.number(entry).to_string(),
                    kind: entry.kind,
                    cost: cost(entry).filter(|cost| *cost > 0.0)?,
                    accuracy: entry.test.tracks.accuracy,
                    is_partial: false,
                })
            };
            let points: Vec<Point> = group.entries.iter().filter_map(point).collect();
            if points.len() < 2 {
                continue;
            }
            let axis = Axis { cost: axis, accuracy: "accuracy on test tracks" };
            let chart = Scatter { axis, points };
            let front: Vec<String> =
                chart.front().iter().map(|point| point.label.to_string()).collect();
            figures.push(Figure {
                file: format!("pareto-{name}-{number}.svg"),
                caption: format!(
                    "Accuracy against {name}; the numbers are those of the table, the dashed line \
                     joins models that no other is better than in both: {}",
                    listed(&front)
                ),
                alt: format!(
                    "Scatter chart of {} models; from cheap to dear, the numbers {} are beaten by \
                     none.",
                    chart.points.len(),
                    listed(&front)
                ),
                image: chart.draw()?.into_bytes(),
            });
        }
        Ok(figures)
    }

    fn comparisons(&self, document: &mut Document, group: &Group) {
        let contenders = group.contenders();
        let mut table = Table::new(
            "Are the best models different? McNemar's exact test on the same tracks",
            &[
                "Models",
                "Tracks>",
                "Only first right>",
                "Only second right>",
                "p>",
                "p (Holm)>",
                "Significant",
            ],
        );
        for c in compare(&contenders) {
            let (first, second) = (contenders[c.first], contenders[c.second]);
            table.row([
                format!("{} against {}", self.titles.of(first), self.titles.of(second)),
                thousands(c.tracks),
                thousands(c.only_first),
                thousands(c.only_second),
                p_value(c.p),
                p_value(c.p_holm),
                if c.is_significant() { "yes" } else { "no" }.into(),
            ]);
        }
        table.note = "Compared: the best of each kind of model, then the next best, at most four. \
                      Two-sided; p (Holm) is corrected for the number of comparisons and significant \
                      below 0.05."
            .into();
        document.table(table);
    }

    fn by_genre(
        &self,
        document: &mut Document,
        group: &Group,
        caption: &str,
        figure: fn(&crate::metrics::GenreScore) -> Option<f64>,
    ) {
        let Some(first) = group.entries.first() else { return };
        let genres: Vec<usize> = (0..first.genres().len()).collect();
        for some in genres.chunks(GENRES_A_TABLE) {
            let names: Vec<String> =
                some.iter().map(|genre| format!("{}>", first.genres()[*genre])).collect();
            let mut columns = vec!["Model"];
            columns.extend(names.iter().map(String::as_str));
            let mut table = Table::new(caption, &columns);
            for entry in &group.entries {
                let score = |genre: &usize| {
                    let share = figure(&entry.test.tracks.per_genre[*genre]);
                    share.map_or(UNKNOWN.into(), |share| format!("{:.0}", share * 100.0))
                };
                let cells = std::iter::once(self.titles.of(entry)).chain(some.iter().map(score));
                table.rows.push(cells.collect());
            }
            document.table(table);
        }
    }

    fn confusion(&self, entry: &Entry) -> Result<Figure> {
        let title = self.titles.of(entry);
        let tracks = &entry.test.tracks;
        Ok(Figure {
            file: format!("confusion-{}.svg", self.number(entry)),
            caption: format!("{}: {}", capital(&title), percent(tracks.accuracy)),
            alt: format!(
                "Confusion matrix of {title}: {} of {} tracks are on the diagonal.",
                (0..tracks.confusion.len()).map(|i| tracks.confusion[i][i]).sum::<usize>(),
                tracks.count
            ),
            image: charts::confusion(entry)?.into_bytes(),
        })
    }

    fn mistakes(&self, document: &mut Document, group: &Group) {
        let Some(best) = group.entries.first() else { return };
        let wrong = mistakes::most_confident(best, MISTAKES);
        if wrong.is_empty() {
            return;
        }
        document.heading(3, format!("The most confident mistakes of {}", self.titles.of(best)));
        let others = &group.entries[1..];
        let bar = progress::begin(wrong.len(), "mistakes", "clips");
        let mut figures = vec![];
        for (place, p) in wrong.into_iter().enumerate() {
            let also = others.iter().filter(|entry| {
                entry.predictions.iter().any(|q| q.track == p.track && !q.is_right())
            });
            let also = match (others.len(), also.count()) {
                (0, _) => String::new(),
                (1, 0) => "; the other model is right".to_owned(),
                (1, _) => "; the other model is wrong too".to_owned(),
                (all, also) => format!("; {also} of the {all} other models are wrong too"),
            };
            let image = mistakes::picture(&p.track, &self.folders);
            figures.push(Figure {
                file: match image {
                    Some(_) => format!("mistake-{}-{}.png", self.number(best), place + 1),
                    None => String::new(),
                },
                caption: format!(
                    "{}: {}, taken for {} with {}{also}",
                    p.track,
                    p.genre,
                    p.predicted,
                    probability(f64::from(p.confidence()))
                ),
                alt: format!("Log-mel spectrogram of {}", p.track),
                image: image.unwrap_or_default(),
            });
            bar.advance(1);
        }
        drop(bar);
        document.figures(2, figures);
    }

    fn common(&self, document: &mut Document, common: &Common, number: usize) -> Result<()> {
        let tracks = counted(common.tracks.len(), "track");
        document.heading(2, format!("The same split at different completeness: {tracks}"));
        document.paragraph(
            "These runs share a split, but not every file was at hand for each of them, so that \
             they were tested on different tracks. Here all are scored on the tracks they share.",
        );
        let mut table = Table::new(
            format!("Accuracy on the {tracks} that all were tested on"),
            &["#>", "Model", "Run", "Accuracy %>", "95 % interval>", "Tracks at hand>"],
        );
        let mut rows = vec![];
        for (entry, accuracy, bounds) in &common.entries {
            table.row([
                self.number(entry).to_string(),
                entry.label.clone(),
                entry.run.clone(),
                percent_number(*accuracy),
                interval(*bounds),
                thousands(entry.data.tracks),
            ]);
            rows.push((self.titles.of(entry), entry.kind, *accuracy, *bounds));
        }
        document.table(table);
        document.figures(
            2,
            vec![Figure {
                file: format!("common-{number}.svg"),
                caption: format!("Accuracy on the {tracks} shared by all, with 95 % intervals"),
                alt: described(&rows),
                image: charts::intervals(&rows)?.into_bytes(),
            }],
        );
        Ok(())
    }

    fn leaky(&self, document: &mut Document, leaks: &[Leak]) {
        if leaks.is_empty() {
            return;
        }
        document.heading(2, "The honest and the leaky figure");
        document.paragraph(
            "Tables of 3-second windows are often shuffled window by window. Windows of one song \
             are then in training and test, and a model is tested on songs it knows. The leaky \
             runs make this mistake on purpose; the honest ones keep all windows of a song on one \
             side.",
        );
        let mut table = Table::new(
            "The same models, split by song and split by window",
            &[
                "Model",
                "Windows, honest %>",
                "Windows, leaky %>",
                "Songs, honest %>",
                "Songs, leaky %>",
            ],
        );
        for leak in leaks {
            let honest = |of: fn(&Entry) -> f64| {
                leak.honest.map_or(UNKNOWN.into(), |entry| percent_number(of(entry)))
            };
            table.row([
                leak.honest.unwrap_or(leak.leaky).label.clone(),
                honest(|entry| entry.test.patch_accuracy),
                percent_number(leak.leaky.test.patch_accuracy),
                honest(|entry| entry.test.tracks.accuracy),
                percent_number(leak.leaky.test.tracks.accuracy),
            ]);
        }
        table.note = "The leaky figures are no measure of any model.".into();
        document.table(table);
    }

    fn seeds(&self, document: &mut Document, seeds: &[Seeds]) {
        let mut table = Table::new(
            "Runs that differ in the seed only",
            &[
                "Model",
                "Runs>",
                "Test parts>",
                "Accuracy, mean %>",
                "Standard deviation>",
                "Lowest>",
                "Highest>",
                "Macro-F1, mean>",
            ],
        );
        for Seeds { entries, splits } in seeds {
            let all = |of: fn(&Entry) -> f64| entries.iter().map(|e| of(e)).collect::<Vec<_>>();
            let accuracies = all(|entry| entry.test.tracks.accuracy);
            let (mean, deviation) = mean_and_deviation(&accuracies);
            table.row([
                entries[0].label.clone(),
                entries.len().to_string(),
                splits.to_string(),
                percent_number(mean),
                percent_number(deviation),
                percent_number(accuracies.iter().copied().fold(f64::INFINITY, f64::min)),
                percent_number(accuracies.iter().copied().fold(0.0, f64::max)),
                format!("{:.3}", mean_and_deviation(&all(|entry| entry.test.tracks.macro_f1)).0),
            ]);
        }
        table.note =
            "Test parts: how many different ones; with one, the spread is that of weights \
                      and order alone, with several, that of the draw of tracks as well."
                .into();
        if !table.rows.is_empty() {
            document.heading(2, "Several seeds");
            document.table(table);
        }
    }

    fn cross_validations(&self, document: &mut Document, entries: &[Entry]) {
        let mut table = Table::new(
            "Every track at hand tested once",
            &[
                "Model",
                "Run",
                "Folds>",
                "Tracks>",
                "Accuracy %>",
                "95 % interval>",
                "Macro-F1>",
                "Lowest fold %>",
                "Highest fold %>",
            ],
        );
        for entry in sorted_by(entries, |entry| self.number(entry)) {
            let Some(CrossValidation { folds, pooled, .. }) = &entry.cross_validation else {
                continue;
            };
            table.row([
                entry.label.clone(),
                entry.run.clone(),
                folds.len().to_string(),
                thousands(pooled.tracks.count),
                percent_number(pooled.tracks.accuracy),
                interval(pooled.tracks.interval),
                format!("{:.3}", pooled.tracks.macro_f1),
                percent_number(folds.iter().copied().fold(f64::INFINITY, f64::min)),
                percent_number(folds.iter().copied().fold(0.0, f64::max)),
            ]);
        }
        table.note =
            "A fold is tested by a head on the frozen network that learned from the other \
                      folds; accuracy, interval and macro-F1 are over the tracks of all folds \
                      together, not over the test tracks of the tables above."
                .into();
        if !table.rows.is_empty() {
            document.heading(2, "Cross-validation");
            document.table(table);
        }
    }

    fn searches(&self, document: &mut Document, entries: &[Entry]) -> Result<()> {
        for entry in entries {
            let Some(board) = &entry.search else { continue };
            let ranked = board.ranked();
            if ranked.is_empty() {
                continue;
            }
            document.heading(2, format!("Search for an architecture: {}", entry.run));
            document.paragraph(format!(
                "{} trained in {} s, compared on the validation part; the test part was used for the \
                 winner only.",
                capital(&counted(ranked.len(), "architecture")),
                thousands(board.seconds.round() as usize)
            ));
            let mut table = Table::new(
                format!("The best of {}", counted(ranked.len(), "trial")),
                &[
                    "Trial>",
                    "Filters and convolutions",
                    "Epochs>",
                    "Validation loss>",
                    "Validation accuracy %>",
                    "Parameters>",
                    "Learning rate>",
                    "Seconds>",
                ],
            );
            for (trial, rung) in ranked.iter().take(TRIALS) {
                let winner = if board.winner == Some(trial.number) { " (winner)" } else { "" };
                table.row([
                    trial.number.to_string(),
                    format!("{}{winner}", blocks(&trial.cnn)),
                    rung.epochs.to_string(),
                    rung.validation.map_or("diverged".into(), |score| format!("{:.3}", score.loss)),
                    percent_number(rung.accuracy()),
                    thousands(trial.parameters),
                    trial.learning_rate.to_string(),
                    three_digits(trial.seconds()),
                ]);
            }
            table.note =
                "The longer trained come first, then by loss. Parameters without those of \
                          the output; seconds of all trainings of a trial."
                    .into();
            document.table(table);
            document.figures(2, search_charts(entry)?);
        }
        Ok(())
    }

    fn curves(&self, document: &mut Document, entries: &[Entry]) -> Result<()> {
        let mut figures = vec![];
        let sorted = sorted_by(entries, |entry| self.number(entry));
        for entry in sorted.into_iter().filter(|entry| entry.history.len() > 1) {
            let title = self.titles.of(entry);
            figures.push(Figure {
                file: format!("curves-{}.svg", self.number(entry)),
                caption: capital(&title),
                alt: format!(
                    "Learning curves of {title} over {}: the training loss goes from {} to {}.",
                    counted(entry.history.len(), "epoch"),
                    three_digits(entry.history.first().map_or(0.0, |epoch| epoch.train_loss)),
                    three_digits(entry.history.last().map_or(0.0, |epoch| epoch.train_loss)),
                ),
                image: curves(&entry.run, &entry.history)?.into_bytes(),
            });
        }
        if !figures.is_empty() {
            document.heading(2, "Learning curves");
            document.paragraph(
                "Dashed: cross-entropy on training patches, with dropout and augmentation where \
                 they are used. Solid: on validation tracks. A thin vertical line parts the stages \
                 of a training: a head and its refit on all of the 80 %, which has no validation \
                 part, or the networks of an ensemble.",
            );
            document.figures(2, figures);
        }
        Ok(())
    }

    fn discussion(
        &self,
        document: &mut Document,
        groups: &[Group],
        common: &[Common],
        leaks: &[Leak],
    ) {
        document.heading(2, "Discussion");
        for (number, group) in groups.iter().enumerate() {
            if groups.len() > 1 {
                let tracks = self.tracks_of(group);
                document.heading(3, format!("Table {}: {tracks}", number + 1));
            }
            let titles = &self.titles;
            let headline = vec![discussion::headline(group, titles)];
            for sentences in [
                [headline, discussion::significance(group, titles)].concat(),
                discussion::confusions(group, titles),
                discussion::costs(group, titles),
                discussion::limits(group),
            ] {
                document.paragraph(sentences.join(" "));
            }
        }
        for common in common {
            document.heading(3, "Tracks shared by different tables");
            document.paragraph(discussion::shared(common, &self.titles).join(" "));
        }
        let known = discussion::known_faults(groups);
        if !known.is_empty() {
            document.heading(3, "What the splits hide");
            document.paragraph(known.join(" "));
        }
        let said = discussion::leaks(leaks, &self.titles);
        if !said.is_empty() {
            document.heading(3, "Leaky splits");
            document.paragraph(said.join(" "));
        }
    }

    fn reading(&self, document: &mut Document, report: &Report) {
        if report.machines.is_empty() {
            return;
        }
        document.heading(2, "Where latencies were measured");
        document.list(report.machines.clone());
    }
}

fn sorted_by<K: Ord>(entries: &[Entry], key: impl Fn(&Entry) -> K) -> Vec<&Entry> {
    let mut sorted: Vec<&Entry> = entries.iter().collect();
    sorted.sort_by_key(|entry| key(entry));
    sorted
}

fn of_kind(kind: Kind, count: usize) -> &'static str {
    match (kind, count) {
        (Kind::Baseline, 1) => "baseline on hand-made features",
        (Kind::Cnn, 1) => "CNN trained from scratch",
        (Kind::FineTuned, 1) => "pretrained backbone",
        (kind, _) => kind.name(),
    }
}

/// An interval chart in words.
fn described(rows: &[(String, Kind, f64, [f64; 2])]) -> String {
    let one = |(name, _, accuracy, _): &(String, Kind, f64, [f64; 2])| {
        format!("{name} {}", percent(*accuracy))
    };
    format!("Accuracies: {}.", rows.iter().map(one).collect::<Vec<_>>().join("; "))
}

/// Accuracy on the validation part against parameters and training time.
fn search_charts(entry: &Entry) -> Result<Vec<Figure>> {
    let Some(board) = &entry.search else { return Ok(vec![]) };
    let ranked = board.ranked();
    let longest = ranked.first().map_or(0, |(_, rung)| rung.epochs);
    let costs = [("parameters", "parameters", true), ("time", "training (s)", false)];
    let mut figures = vec![];
    for (name, axis, by_size) in costs {
        let point = |(trial, rung): &(&Trial, Rung)| {
            let cost = if by_size { trial.parameters as f64 } else { rung.seconds };
            (cost > 0.0).then(|| Point {
                label: trial.number.to_string(),
                kind: entry.kind,
                cost,
                accuracy: rung.accuracy(),
                is_partial: rung.epochs < longest,
            })
        };
        let points: Vec<Point> = ranked.iter().filter_map(point).collect();
        if points.len() < 2 {
            continue;
        }
        let axis = Axis { cost: axis, accuracy: "accuracy on validation tracks" };
        let chart = Scatter { axis, points };
        let front: Vec<String> = chart.front().iter().map(|point| point.label.clone()).collect();
        figures.push(Figure {
            file: format!("search-{name}-{}.svg", entry.run.replace('/', "-")),
            caption: format!(
                "Trials by validation accuracy and {name}, at their longest training; hollow ones \
                 were stopped early. No other is better than {} in both",
                listed(&front)
            ),
            alt: format!("Scatter chart of {} trials.", chart.points.len()),
            image: chart.draw()?.into_bytes(),
        });
    }
    Ok(figures)
}

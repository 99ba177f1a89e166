//! Answers as text and as lines of JSON.

use std::path::Path;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::answer::Classification;
use crate::audio::Note;
use crate::error::{Error, Result};
use crate::features::{Seen, UPSIDE_DOWN_TEXT};
use crate::files;

/// The most columns of a timeline in text.
const COLUMNS: usize = 60;

/// How answers are shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View<'a> {
    /// The model's labels.
    pub labels: &'a [String],
    /// Their thresholds, where the model tells any number of them.
    pub thresholds: Option<&'a [f32]>,
    /// Genres to show as text, the most probable ones; of several labels these besides those that
    /// reach their threshold.
    pub top: usize,
    /// Whether to show the probabilities over time.
    pub timeline: bool,
}

/// A recording's line.
#[derive(Serialize)]
struct Line<'a> {
    file: String,
    #[serde(flatten)]
    answer: Option<Answer<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

/// What is odd about a recording or a picture.
fn notes(answer: &Classification) -> Vec<String> {
    let odd = answer.notes.iter().map(Note::to_string);
    let is_odd = answer.picture.as_ref().is_some_and(Seen::is_upside_down);
    odd.chain(is_odd.then(|| UPSIDE_DOWN_TEXT.to_owned())).collect()
}

#[derive(Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    told: Told<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    set: Option<Vec<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outsider: Option<f32>,
    probabilities: Ordered<'a, f32>,
    seconds: Option<f64>,
    padded: bool,
    silent: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    picture: Option<Seen>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    /// A value for every second.
    #[serde(skip_serializing_if = "Option::is_none")]
    timeline: Option<Ordered<'a, Vec<f32>>>,
}

/// What the model tells.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Told<'a> {
    /// One genre or `unknown`, unless the recording is silent.
    Genre(Option<&'a str>),
    /// The labels that reach their threshold, the most probable first.
    Genres(Vec<&'a str>),
}

/// An object whose keys keep their order.
struct Ordered<'a, T>(Vec<(&'a str, T)>);

impl<T: Serialize> Serialize for Ordered<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        self.0.iter().try_for_each(|(key, value)| map.serialize_entry(key, value))?;
        map.end()
    }
}

impl<'a> View<'a> {
    fn label(&self, place: usize) -> &'a str {
        self.labels.get(place).map_or("?", String::as_str)
    }

    /// The labels to show, the most probable one first.
    pub(super) fn shown(&self, answer: &Classification) -> Vec<usize> {
        let told = self.told(answer);
        let ranking = answer.ranking().into_iter().enumerate();
        let shown = ranking.filter(|(rank, place)| *rank < self.top || told.contains(place));
        shown.map(|(_, place)| place).collect()
    }

    /// The labels that reach their threshold, the most probable first; none where the model tells
    /// one genre.
    fn told(&self, answer: &Classification) -> Vec<usize> {
        self.thresholds.map_or(vec![], |thresholds| answer.above(thresholds))
    }

    /// One line for the recording at `path`, and lines of its timeline where they are wanted.
    pub fn text(&self, path: &Path, answer: &Classification) -> String {
        let shown = self.shown(answer);
        let genre =
            |&place: &usize| format!("{} {:.3}", self.label(place), answer.probabilities[place]);
        let listed = |places: &[usize]| places.iter().map(genre).collect::<Vec<_>>().join(", ");
        let genres = match (self.thresholds, &self.told(answer)[..]) {
            (None, _) if answer.silent => "no genre".to_owned(),
            (Some(_), _) if answer.silent => "no label".to_owned(),
            (None, _) if answer.unknown => format!("unknown, most like {}", listed(&shown)),
            (None, _) => listed(&shown),
            (Some(_), []) => {
                format!("no label reaches its threshold, most like {}", listed(&shown))
            }
            (Some(_), told) => listed(told),
        };
        let note = match answer {
            Classification { silent: true, .. } => ", silent or constant",
            Classification { padded: true, .. } => ", padded with silence",
            _ => "",
        };
        if let Some(seen) = &answer.picture {
            let note = if answer.padded { ", stretched to a patch" } else { "" };
            return format!("{}: {genres} ({seen}{note})", files::shown(path));
        }
        let mut text = format!("{}: {genres} ({:.1} s{note})", files::shown(path), answer.seconds);
        if self.timeline {
            text.push_str(&self.sparklines(answer, &shown));
        }
        text
    }

    /// A row of bars for each of the labels `shown`, and the time below.
    fn sparklines(&self, answer: &Classification, shown: &[usize]) -> String {
        let columns = columns(&answer.by_second(), COLUMNS);
        let width = shown.iter().map(|&place| self.label(place).chars().count()).max().unwrap_or(0);
        let mut text = String::new();
        for &place in shown {
            let bars: String = columns.iter().map(|column| bar(column[place])).collect();
            let probability = answer.probabilities[place];
            text.push_str(&format!("\n  {:width$} {probability:.3} {bars}", self.label(place)));
        }
        let end = clock(answer.seconds);
        let space = columns.len().saturating_sub(end.len()).max(1);
        text + &format!("\n  {:width$}       0:00{:space$}{end}", "", "")
    }

    /// A line of JSON for the recording at `path`: `file`, `genre` (null of a silent one, perhaps `unknown`) or
    /// `genres` (those that reach their threshold, where the model tells any number),
    /// where the file promises something `set` and `outsider`,
    /// `probabilities` (of all labels, the most probable first), `seconds` (null of a picture), `padded`, `silent`,
    /// of a picture `picture` (form, colour map, residual), where something is odd `notes`, and
    /// perhaps `timeline` (for each label a value for every second);
    /// or `file` and `error`.
    ///
    /// # Errors
    /// [`Error::Format`] if it cannot be written as JSON.
    pub fn json(&self, path: &Path, result: Result<&Classification, &str>) -> Result<String> {
        let one = |answer: &Classification| {
            let ranking = answer.ranking();
            let by_second = if self.timeline { answer.by_second() } else { vec![] };
            let over_time =
                |place: usize| by_second.iter().map(|second| second[place]).collect::<Vec<f32>>();
            let pairs = ranking.iter().map(|&p| (self.label(p), answer.probabilities[p]));
            Answer {
                told: match self.thresholds {
                    None => Told::Genre(answer.told(|place| self.label(place))),
                    Some(_) => Told::Genres(
                        self.told(answer).into_iter().map(|place| self.label(place)).collect(),
                    ),
                },
                set: (answer.set.as_ref())
                    .map(|set| set.iter().map(|place| self.label(*place)).collect()),
                outsider: answer.outsider,
                probabilities: Ordered(pairs.collect()),
                seconds: answer.picture.is_none().then_some(answer.seconds),
                padded: answer.padded,
                silent: answer.silent,
                picture: answer.picture.clone(),
                notes: notes(answer),
                timeline: self.timeline.then(|| {
                    Ordered(ranking.iter().map(|&p| (self.label(p), over_time(p))).collect())
                }),
            }
        };
        let file = files::shown(path).into_owned();
        let line = Line { file, answer: result.ok().map(one), error: result.err() };
        serde_json::to_string(&line).map_err(|e| Error::format(path, e))
    }
}

/// Seconds gathered into at most `most` columns of equally many, each their mean.
pub(super) fn columns(by_second: &[Vec<f32>], most: usize) -> Vec<Vec<f32>> {
    let size = by_second.len().div_ceil(most).max(1);
    let mean = |seconds: &[Vec<f32>]| {
        let classes = seconds.first().map_or(0, Vec::len);
        let sum = |class: usize| seconds.iter().map(|second| second[class]).sum::<f32>();
        (0..classes).map(|class| sum(class) / seconds.len() as f32).collect()
    };
    by_second.chunks(size).map(mean).collect()
}

fn bar(probability: f32) -> char {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    BARS[((probability * 8.0) as usize).min(7)]
}

/// `0:07`, `12:34` or `1:02:03`.
pub(super) fn clock(seconds: f64) -> String {
    let whole = seconds.ceil() as u64;
    let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::answer::Timeline;
    use super::*;

    fn answer() -> Classification {
        let rows = [[0.9, 0.1], [0.6, 0.4], [0.0, 1.0]];
        let timeline = Timeline::of(1.0, 1.0, 2, &rows.concat());
        Classification {
            seconds: 2.5,
            padded: false,
            silent: false,
            notes: vec![],
            probabilities: vec![0.5, 0.5],
            timeline,
            picture: None,
            ..Classification::default()
        }
    }

    fn labels() -> Vec<String> {
        vec!["jazz".into(), "hip-hop".into()]
    }

    #[test]
    fn text_shows_bars_over_time() {
        let labels = labels();
        let mut view = View { labels: &labels, thresholds: None, top: 1, timeline: false };
        let path = Path::new("a.wav");
        assert_eq!(view.text(path, &answer()), "a.wav: jazz 0.500 (2.5 s)");
        (view.top, view.timeline) = (9, true);
        assert_eq!(
            view.text(path, &answer()),
            "a.wav: jazz 0.500, hip-hop 0.500 (2.5 s)\n  jazz    0.500 █▅▁\n  hip-hop 0.500 ▁▄█\n                0:00 0:03"
        );
    }

    #[test]
    fn json_keeps_the_ranking_and_says_what_failed() {
        let labels = labels();
        let view = View { labels: &labels, thresholds: None, top: 1, timeline: true };
        assert_eq!(
            view.json(Path::new("a.wav"), Ok(&answer())).unwrap(),
            r#"{"file":"a.wav","genre":"jazz","probabilities":{"jazz":0.5,"hip-hop":0.5},"seconds":2.5,"padded":false,"silent":false,"timeline":{"jazz":[0.9,0.6,0.0],"hip-hop":[0.1,0.4,1.0]}}"#
        );
        assert_eq!(
            view.json(Path::new("b.wav"), Err("empty")).unwrap(),
            r#"{"file":"b.wav","error":"empty"}"#
        );
    }

    #[test]
    fn of_several_labels_all_that_reach_their_threshold_are_told() {
        let labels = labels();
        let view = |thresholds| View { labels: &labels, thresholds, top: 1, timeline: false };
        let (path, silent) = (Path::new("a.wav"), Classification { silent: true, ..answer() });
        let whole = answer();
        let json = |thresholds, answer| view(Some(thresholds)).json(path, Ok(answer)).unwrap();
        let both = view(Some(&[0.5, 0.4]));
        assert_eq!(both.text(path, &answer()), "a.wav: jazz 0.500, hip-hop 0.500 (2.5 s)");
        let told = json(&[0.5, 0.4], &whole);
        assert!(told.starts_with(
            r#"{"file":"a.wav","genres":["jazz","hip-hop"],"probabilities":{"jazz":0.5,"hip-hop":0.5},"#
        ));
        let second = view(Some(&[0.6, 0.4]));
        assert_eq!(second.text(path, &answer()), "a.wav: hip-hop 0.500 (2.5 s)");
        let none = view(Some(&[0.6, 0.6]));
        let text = none.text(path, &answer());
        assert_eq!(text, "a.wav: no label reaches its threshold, most like jazz 0.500 (2.5 s)");
        let told = json(&[0.6, 0.6], &whole);
        assert!(
            told.contains(r#""genres":[],"probabilities":{"jazz":0.5,"hip-hop":0.5},"#),
            "{told}"
        );
        let text = both.text(path, &silent);
        assert_eq!(text, "a.wav: no label (2.5 s, silent or constant)");
        let told = json(&[0.5, 0.4], &silent);
        assert!(told.contains(r#""genres":[],"#), "{told}");
    }

    #[test]
    fn long_timelines_are_gathered() {
        let seconds = vec![vec![0.0], vec![1.0], vec![0.5], vec![0.5], vec![1.0]];
        assert_eq!(columns(&seconds, 3), [[0.5], [0.5], [1.0]]);
        assert_eq!(columns(&seconds, 60), seconds);
        assert!(columns(&[], 60).is_empty());
        assert_eq!(
            (clock(29.3), clock(754.0), clock(36_000.0)),
            ("0:30".into(), "12:34".into(), "10:00:00".into())
        );
    }
}

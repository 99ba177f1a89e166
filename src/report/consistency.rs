//! Whether the files of a run speak of the same test.

use crate::dataset::Split;
use crate::metrics::argmax;
use crate::run::{PartMetrics, Prediction};

/// How a run's files contradict each other.
#[derive(Debug, thiserror::Error)]
pub(super) enum Contradiction {
    #[error("metrics.json does not have the {0} genres of split.json")]
    Genres(usize),
    #[error("{listed} tracks, but {scored} in metrics.json")]
    Tracks { listed: usize, scored: usize },
    #[error("\"{0}\" is listed twice")]
    Repeated(String),
    #[error("\"{track}\": the genre \"{genre}\" is not in split.json")]
    UnknownGenre { track: String, genre: String },
    #[error("\"{track}\": there must be {classes} probabilities")]
    Probabilities { track: String, classes: usize },
    #[error("\"{track}\": \"{predicted}\" is not the most probable")]
    NotMostProbable { track: String, predicted: String },
    #[error(
        "{right} of {tracks} tracks are right, but metrics.json says {accuracy}; the files are of \
         different runs"
    )]
    Accuracy { right: usize, tracks: usize, accuracy: f64 },
}

/// Whether `metrics.json`, `split.json` and `predictions.json`, sorted by track, speak of the
/// same test.
pub(super) fn check(
    test: &PartMetrics,
    split: &Split,
    predictions: &[Prediction],
) -> Result<(), Contradiction> {
    let (tracks, classes) = (&test.tracks, split.genres.len());
    let square = tracks.confusion.len() == classes
        && tracks.confusion.iter().all(|row| row.len() == classes)
        && tracks.per_genre.len() == classes;
    if !square {
        return Err(Contradiction::Genres(classes));
    }
    if predictions.is_empty() || predictions.len() != tracks.count {
        return Err(Contradiction::Tracks { listed: predictions.len(), scored: tracks.count });
    }
    let mut before = None;
    for prediction in predictions {
        if before == Some(&prediction.track) {
            return Err(Contradiction::Repeated(prediction.track.clone()));
        }
        check_prediction(prediction, &split.genres)?;
        before = Some(&prediction.track);
    }
    let right = predictions.iter().filter(|prediction| prediction.is_right()).count();
    if (right as f64 / predictions.len() as f64 - tracks.accuracy).abs() > 1e-9 {
        let (tracks, accuracy) = (predictions.len(), tracks.accuracy);
        return Err(Contradiction::Accuracy { right, tracks, accuracy });
    }
    Ok(())
}

fn check_prediction(prediction: &Prediction, genres: &[String]) -> Result<(), Contradiction> {
    let Prediction { track, genre, predicted, probabilities } = prediction;
    let (track, classes) = (track.clone(), genres.len());
    if let Some(genre) = [genre, predicted].into_iter().find(|genre| !genres.contains(genre)) {
        return Err(Contradiction::UnknownGenre { track, genre: genre.clone() });
    }
    if probabilities.len() != classes || probabilities.iter().any(|p| !p.is_finite()) {
        return Err(Contradiction::Probabilities { track, classes });
    }
    if argmax(probabilities).is_none_or(|genre| genres[genre] != *predicted) {
        return Err(Contradiction::NotMostProbable { track, predicted: predicted.clone() });
    }
    Ok(())
}

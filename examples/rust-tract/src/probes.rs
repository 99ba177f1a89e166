//! The probes of a model, by which a host tests itself: docs/verify.md.

use anyhow::{Result, ensure};
use serde_json::Value;

/// The 16-bit samples of a probe, those of a frame together.
fn recipe(probe: &Value) -> Vec<i16> {
    let number = |key: &str| probe[key].as_u64().unwrap_or_default();
    let [channels, note] = ["channels", "note"].map(|key| number(key) as usize);
    let [noise, high] = ["noise", "high"].map(|key| number(key) as u32);
    let steps: Vec<u32> = numbers(&probe["steps"]).map(|step| step as u32).collect();
    let triangle = |phase: u32| ((phase >> 16) as i32 - 32768).abs() - 16384;
    let (mut phase, mut high_phase) = ([[0u32; 3]; 2], [0u32; 2]);
    let mut state = number("seed") as u32;
    let mut samples = vec![];
    for i in 0..number("frames") as usize {
        let level = ((note - i % note) * 256 / note) as i32;
        for c in 0..channels {
            let mut value = 0;
            for v in 0..3 {
                let step = steps[(i / note + 2 * v + 3 * c) % steps.len()];
                phase[c][v] = phase[c][v].wrapping_add(step);
                value += triangle(phase[c][v]);
            }
            value = (value * level) >> (9 + c);
            state = state.wrapping_mul(1664525).wrapping_add(1013904223);
            value += (((state >> 16) as i32 - 32768) * level) >> (noise as usize - 2 * c);
            high_phase[c] = high_phase[c].wrapping_add(high);
            if high > 0 {
                value += triangle(high_phase[c]) >> 2;
            }
            samples.push(value as i16);
        }
    }
    samples
}

/// Whether `answer(samples, channels, rate)`, the host's own way to probabilities, is right; prints
/// the mistake if it is not. It fails for recordings that the host does not take.
pub fn verify(
    probes: &str,
    mut answer: impl FnMut(&[i16], u16, u32) -> Result<Vec<f32>>,
) -> Result<()> {
    let probes: Value = serde_json::from_str(probes)?;
    let mistakes = probes["mistakes"].as_array().into_iter().flatten();
    let mut far: Vec<(&Value, f64)> = mistakes.map(|mistake| (mistake, 0.0)).collect();
    let mut off = 0.0;
    for (k, probe) in probes["probes"].as_array().into_iter().flatten().enumerate() {
        let number = |key: &str| probe[key].as_u64().unwrap_or_default() as u32;
        let name = &probe["name"];
        let given = match answer(&recipe(probe), number("channels") as u16, number("sample_rate")) {
            Ok(given) => given,
            Err(reason) => {
                println!("{name}: not tested: {reason}");
                continue;
            }
        };
        // In tolerances, from the right answer and from that of each mistake; of NaN, very far.
        let tolerance = probe["tolerance"].as_f64().unwrap_or(1e-3);
        let distance = |right: &Value| {
            let each = given.iter().zip(numbers(right)).map(|(a, b)| (f64::from(*a) - b).abs());
            each.fold(0.0, |far, off| if off <= far { far } else { off.min(1e9) }) / tolerance
        };
        let right = &probe["probabilities"];
        println!("{name}: {}", if distance(right) <= 1.0 { "right" } else { "wrong" });
        off = f64::max(off, distance(right));
        for (mistake, far) in &mut far {
            let wrong = &mistake["answers"][k];
            *far = far.max(distance(if wrong.is_null() { right } else { wrong }));
        }
    }
    let nearest = far.into_iter().min_by(|a, b| a.1.total_cmp(&b.1));
    let known = nearest.filter(|(_, far)| *far < off / 3.0);
    let mistake = known.map_or("none of those known".to_owned(), |(m, _)| m["name"].to_string());
    ensure!(off <= 1.0, "the mistake is {mistake}");
    Ok(())
}

fn numbers(array: &Value) -> impl Iterator<Item = f64> {
    array.as_array().into_iter().flatten().filter_map(Value::as_f64)
}

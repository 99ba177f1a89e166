//! Spectrograms in pictures of all forms: found, their colour map recognized and undone.
//! `scripts/make-picture-fixtures.py` draws them.

#[path = "common/data.rs"]
mod data;

use std::fs;
use std::path::{Path, PathBuf};

use data::test_data;
use genre_transfer::features::{Preprocessor, Reader, Seen, magma};
use ndarray::{Array2, Array3};

const BANDS: usize = 40;
const FRAMES: usize = 72;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pictures")
}

/// Of pictures of this many frames and rows, all bands kept, in one patch.
fn reader(map: &str, [frames, rows]: [usize; 2]) -> Reader {
    let json = format!(
        r#"{{"kind":"picture","colormap":"{map}","frames":{frames},"rows":{rows},"mels":{rows},
            "patch_frames":{frames},"patch_hop":{frames}}}"#
    );
    Preprocessor::parse(&json).unwrap().reader().unwrap()
}

fn read(reader: &Reader, path: &Path) -> (Array3<f32>, Seen) {
    let (patches, seen) = reader.picture(path).unwrap();
    (patches.values, seen)
}

fn apart(one: &Array3<f32>, other: &Array3<f32>) -> f32 {
    assert_eq!(one.dim(), other.dim());
    (one - other).mapv(f32::abs).mean().unwrap()
}

const ALL: [&str; 3] = ["plot", "plot with axes", "plot with axes and colour bar"];

#[test]
fn every_form_is_read_as_the_same_spectrogram() {
    let [plot, axes, bar] = ALL;
    let whole = "whole picture";
    let truth = read(&reader("gray", [FRAMES, BANDS]), &fixtures().join("truth.png")).0;
    for (file, form, map) in [
        ("gtzan.png", plot, "magma"),
        ("axes.png", axes, "magma"),
        ("bar.png", bar, "magma"),
        ("bar-below.png", bar, "magma"),
        ("bar-viridis-100dpi.png", bar, "viridis"),
        ("bar-gray_r.png", bar, "gray_r"),
        ("bar-hot.png", bar, "hot"),
        ("axes-gray.png", axes, "gray"),
        ("axes-200dpi.png", axes, "magma"),
        ("dark-bar.png", bar, "magma"),
        ("dark-axes-gray.png", axes, "gray"),
        ("frameless-viridis.png", plot, "viridis"),
        ("tight.png", whole, "magma"),
        ("tight-axes.png", axes, "magma"),
        ("transparent.png", axes, "magma"),
        ("imshow-inferno.png", axes, "inferno"),
        ("whole.png", whole, "magma"),
        ("whole-viridis.png", whole, "viridis"),
        ("whole-plasma.png", whole, "plasma"),
        ("whole-inferno.png", whole, "inferno"),
        ("whole-cividis.png", whole, "cividis"),
        ("whole-Greys.png", whole, "Greys"),
        ("whole-Blues.png", whole, "Blues"),
        ("whole-YlOrRd.png", whole, "YlOrRd"),
        ("whole-gray_r.png", whole, "gray_r"),
        ("whole-hot.png", whole, "hot"),
        ("whole-afmhot.png", whole, "afmhot"),
        ("whole-bone.png", whole, "bone"),
        ("whole-copper.png", whole, "copper"),
        ("whole-jet.png", whole, "jet"),
        ("whole-turbo.png", whole, "turbo"),
        ("whole-coolwarm.png", whole, "coolwarm"),
        ("whole-viridis_r.png", whole, "viridis_r"),
        ("grey16.png", whole, "gray"),
        ("palette.png", whole, "plasma"),
        ("palette-axes.png", axes, "magma"),
        ("axes-q75.jpg", axes, "magma"),
        ("gtzan-q75.jpg", plot, "magma"),
        ("bar-viridis-progressive.jpg", axes, "viridis"),
        ("grey.jpg", whole, "gray"),
        ("resized.png", plot, "magma"),
        ("resized-axes-viridis.png", axes, "viridis"),
    ] {
        // What a map's name does not say, its colours do: reversed ones are the only exception.
        let told = if map.ends_with("_r") || map == "Greys" { map } else { "magma" };
        let (found, seen) = read(&reader(told, [FRAMES, BANDS]), &fixtures().join(file));
        let apart = apart(&found, &truth);
        println!("{file}: {seen}, mean difference {apart:.4}");
        assert_eq!((&*seen.form, seen.colour_map.as_deref()), (form, Some(map)), "{file}");
        assert!(apart < 0.03, "{file}: {apart}");
    }
}

#[test]
fn what_is_no_spectrogram_is_refused_with_file_residual_and_what_was_expected() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("photo.png");
    let pixels: Vec<u8> = (0..90 * 60u32)
        .flat_map(|at| {
            let (x, y) = (at % 90, at / 90);
            [x * 2 + y, 200 - y * 3, (x * y) / 20].map(|level| level.min(255) as u8)
        })
        .collect();
    let mut encoder = png::Encoder::new(fs::File::create(&path).unwrap(), 90, 60);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
    let refused =
        |path: &Path| reader("magma", [FRAMES, BANDS]).picture(path).err().unwrap().to_string();
    let text = refused(&path);
    for part in ["photo.png: no spectrogram", "a residual of", "of 255", "colours of magma"] {
        assert!(text.contains(part), "{text}");
    }
    for (bytes, kind) in [
        (&b"RIFF\x10\0\0\0WEBPVP8 "[..], "a WebP file"),
        (b"BM\x36\0\0\0", "a BMP file"),
        (b"II*\0\x08\0", "a TIFF file"),
        (b"GIF89a\x01\0", "a GIF file"),
        (b"ID3\x04 music", "not a picture"),
    ] {
        fs::write(&path, bytes).unwrap();
        let text = refused(&path);
        assert!(text.contains("photo.png: ") && text.contains(kind), "{text}");
    }
}

/// GTZAN's form as it was read before any other was: white margins, a frame one pixel wide, colours
/// that are magma's to the bit.
fn exact(path: &Path) -> Array2<f32> {
    let mut reader = png::Decoder::new(std::io::BufReader::new(fs::File::open(path).unwrap()))
        .read_info()
        .unwrap();
    let mut data = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut data).unwrap();
    let (width, height) = (info.width as usize, info.height as usize);
    let pixel = |x: usize, y: usize| {
        let at = (y * width + x) * info.color_type.samples();
        [data[at], data[at + 1], data[at + 2]]
    };
    let row = |y: &usize| (0..width).any(|x| pixel(x, *y) != [255; 3]);
    let column = |x: &usize| (0..height).any(|y| pixel(*x, y) != [255; 3]);
    let (top, bottom) = ((0..height).find(row).unwrap(), (0..height).rfind(row).unwrap());
    let (left, right) = ((0..width).find(column).unwrap(), (0..width).rfind(column).unwrap());
    let places: std::collections::HashMap<[u8; 3], u8> =
        (0..=255).map(|at| (magma(at), at)).collect();
    Array2::from_shape_fn((right - left - 1, bottom - top - 1), |(x, y)| {
        f32::from(places[&pixel(left + 1 + x, bottom - 1 - y)]) / 255.0
    })
}

#[test]
fn gtzans_pictures_are_read_as_ever_to_the_bit() {
    let Some(data) = test_data() else { return };
    let reader = reader("magma", [334, 216]);
    let mut count = 0;
    for genre in fs::read_dir(data.join("gtzan/images_original")).unwrap() {
        for path in fs::read_dir(genre.unwrap().path()).unwrap().map(|file| file.unwrap().path()) {
            let (found, seen) = read(&reader, &path);
            let exact = exact(&path);
            // Bands of one row each: a value of 255 parts, as it was made.
            let same = found.index_axis(ndarray::Axis(0), 0) == exact;
            assert!(same && seen.form == "plot", "{}: {seen}", path.display());
            assert_eq!(seen.residual, Some(0.0));
            count += 1;
        }
    }
    assert_eq!(count, 999);
}

#[test]
fn pictures_found_in_practice_are_read_alike() {
    let Some(data) = test_data() else { return };
    let at = |form: &str, file: &str| data.join("cases/pictures").join(form).join(file);
    let [plot, axes, _] = ALL;
    for track in ["jazz/jazz00000", "jazz/jazz00002", "rock/rock00001", "rock/rock00005"] {
        let png = format!("{track}.png");
        let truth = read(&reader("magma", [335, 221]), &at("gtzan-form", &png)).0;
        let whole = read(&reader("magma", [1292, 128]), &at("magma-imsave", &png)).0;
        let grey = read(&reader("magma", [1292, 128]), &at("grey-imsave", &png)).0;
        println!("{track}: grey and magma, whole: {:.4}", apart(&whole, &grey));
        assert!(apart(&whole, &grey) < 0.005);
        // With axes, rows are mels: another picture, of which all is told by its colours.
        let (_, seen) = read(&reader("magma", [334, 220]), &at("axes", &png));
        println!("axes/{track}: {seen}");
        assert_eq!((&*seen.form, seen.colour_map.as_deref()), (axes, Some("magma")));
        assert!(seen.residual.unwrap() < 0.5 && seen.resized_from.is_none(), "{seen:?}");
        // Smoothed before its colours are undone, a line one pixel wide has another colour than
        // smoothed after it.
        let small = read(&reader("magma", [172, 172]), &at("gtzan-form", &png)).0;
        for (form, file, size, truth, map, most) in [
            ("viridis", &png, [335, 221], &truth, "viridis", 0.03),
            ("jpeg", &format!("{track}.jpg"), [335, 221], &truth, "magma", 0.03),
            ("resized-224", &png, [172, 172], &small, "magma", 0.08),
        ] {
            let (found, seen) = read(&reader("magma", size), &at(form, file));
            let apart = apart(&found, truth);
            println!("{form}/{track}: {seen}, mean difference {apart:.4}");
            assert_eq!((&*seen.form, seen.colour_map.as_deref()), (plot, Some(map)));
            assert!(apart < most, "{form}/{track}: {apart}");
        }
    }
    let cut = at("truncated", "jazz/jazz00000.png");
    let error = reader("magma", [335, 221]).picture(&cut).err().unwrap().to_string();
    assert!(error.contains("truncated/jazz/jazz00000.png: "), "{error}");
}

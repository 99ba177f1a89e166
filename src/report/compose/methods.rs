//! What each model is, and how it was trained.

use std::path::Path;

use serde_json::{Map, Value};

use super::context::Context;
use crate::report::document::Document;
use crate::report::entry::Entry;
use crate::report::text::thousands;

/// An item for each run, with its architecture or settings and all options that were not left at nothing.
pub(super) fn add(document: &mut Document, context: &Context) {
    document.heading(2, "Models and how they were trained");
    document.paragraph(
        "Of each run: the architecture of a network or the settings of a classical model, how many \
         numbers make up the trained model (its backbone included), and the options of config.json \
         but for data, seed and what is off."
            .to_owned(),
    );
    let item = |entry: &Entry| {
        let what = if entry.what.is_empty() { "-" } else { &entry.what };
        let numbers = entry.parameters.map_or_else(|| "-".to_owned(), thousands);
        let options = options(&entry.recipe);
        format!("{} ({}): {what}; {numbers} numbers; {options}.", entry.run, entry.label)
    };
    document.list(context.by_number().into_iter().map(item).collect());
}

/// The options in `recipe`, JSON, as `name value` with commas between.
fn options(recipe: &str) -> String {
    let mut listed = vec![];
    if let Ok(Value::Object(options)) = serde_json::from_str(recipe) {
        for (name, value) in options {
            add_option(&mut listed, &name, &value);
        }
    }
    if listed.is_empty() { "-".to_owned() } else { listed.join(", ") }
}

fn add_option(listed: &mut Vec<String>, name: &str, value: &Value) {
    let name = name.replace('_', "-");
    match value {
        Value::Null | Value::Bool(false) => {}
        Value::Bool(true) => listed.push(name),
        Value::Object(layers) if name == "unfreeze" => {
            listed.extend(layers.iter().map(|(which, count)| format!("unfreeze {which} {count}")));
        }
        Value::Object(group) if is_off(&name, group) => {}
        Value::Object(group) => {
            group.iter().for_each(|(name, value)| add_option(listed, name, value));
        }
        Value::String(text) => {
            let path = Path::new(text);
            // Whose folders they are is nobody's business.
            let last = path.file_name().filter(|_| path.is_absolute());
            let text = last.map_or(text.into(), |last| last.to_string_lossy());
            listed.push(format!("{name} {text}"));
        }
        Value::Number(number) => listed.push(format!("{name} {number}")),
        Value::Array(values) => {
            let values: Vec<String> = values.iter().map(short).collect();
            listed.push(format!("{name} {}", values.join("-")));
        }
    }
}

/// Whether a group of options counts for nothing: of a search that was not asked for, of layers that
/// stayed as they were.
fn is_off(name: &str, group: &Map<String, Value>) -> bool {
    match name {
        "search" => group.get("search") != Some(&Value::Bool(true)),
        "deep" => group.get("unfreeze").is_some_and(|which| which == "none"),
        _ => false,
    }
}

fn short(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_those_that_say_something() {
        let recipe = r#"{"backbone":"yamnet","folds":5,"front_end":null,"no_refit":true,"head":{"learning_rate":0.001,"hidden":null},"search":{"search":false,"jobs":2},"filters":[16,32]}"#;
        assert_eq!(
            options(recipe),
            "backbone yamnet, filters 16-32, folds 5, learning-rate 0.001, no-refit"
        );
        let searched = r#"{"search":{"search":true,"jobs":2}}"#;
        assert_eq!(options(searched), "jobs 2, search");
        let frozen = r#"{"deep":{"unfreeze":"none","backbone_lr":0.0001}}"#;
        assert_eq!(options(frozen), "-");
        let tuned = r#"{"deep":{"unfreeze":{"last":2},"backbone_lr":0.0001}}"#;
        assert_eq!(options(tuned), "backbone-lr 0.0001, unfreeze last 2");
        assert_eq!(
            options(r#"{"features":"/home/ada/lab/features.csv"}"#),
            "features features.csv"
        );
        assert_eq!(options(""), "-");
    }
}

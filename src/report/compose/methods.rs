//! What each model is, and how it was trained.

use std::path::Path;

use serde_json::Value;

use super::context::Context;
use crate::report::document::{Document, Table};
use crate::report::text::thousands;

/// Groups of options that count only where their switch, of the same name, is on.
const SWITCHED: [&str; 1] = ["search"];

/// A row for each run, with its architecture or settings and all options that were not left at nothing.
pub(super) fn add(document: &mut Document, context: &Context) {
    document.heading(2, "Models and how they were trained");
    let mut table = Table::new("Every run", &["Run", "Model", "What it is", "Numbers>", "Options"]);
    for entry in context.by_number() {
        table.row([
            entry.run.clone(),
            entry.label.clone(),
            if entry.what.is_empty() { "-".to_owned() } else { entry.what.clone() },
            entry.parameters.map_or_else(|| "-".to_owned(), thousands),
            options(&entry.recipe),
        ]);
    }
    table.note = "What it is: the architecture of a network, or the settings that cross-validation \
                  inside the training part chose. Numbers: those that make up the trained model, its \
                  backbone included. Options: those of config.json but for data, seed and what is off; of paths the last name."
        .to_owned();
    document.table(table);
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
        Value::Object(group) => {
            let is_off = SWITCHED.contains(&&*name) && group.get(&name) != Some(&Value::Bool(true));
            if !is_off {
                group.iter().for_each(|(name, value)| add_option(listed, name, value));
            }
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
        assert_eq!(
            options(r#"{"features":"/home/ada/lab/features.csv"}"#),
            "features features.csv"
        );
        assert_eq!(options(""), "-");
    }
}

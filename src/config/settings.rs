//! What the schema of the settings says in addition to their shape: which variables they have, which of them need a restart.

use std::path::Path;

use serde_json::Value as Schema;
use serde_yaml::{Mapping, Value};

use super::service::Config;
use crate::yaml::schema_of;

/// Calls `visit` with every setting and every section: its keys from the root, and its schema.
fn visit<'s>(schema: &'s Schema, path: &mut Vec<&'s str>, each: &mut dyn FnMut(&[&'s str], &'s Schema)) {
    let properties = [Some(schema), schema.pointer("/anyOf/0")]
        .into_iter()
        .flatten()
        .filter_map(|schema| schema["properties"].as_object());
    for (key, of) in properties.flatten() {
        path.push(key);
        each(path, of);
        visit(of, path, each);
        path.pop();
    }
}

/// The settings that may come as variables, in the order of the file: the variable, the keys of the setting, and whether its
/// value is text.
pub(super) fn variables(schema: &Schema) -> Vec<(&str, Vec<&str>, bool)> {
    let mut variables = Vec::new();
    visit(schema, &mut Vec::new(), &mut |path, of| {
        let is_text = [Some(&of["type"]), of.pointer("/type/0")].into_iter().flatten().any(|of| of == "string");
        let names = of["x-env"].as_array().into_iter().flatten().filter_map(Schema::as_str);
        variables.extend(names.map(|name| (name, path.to_vec(), is_text)));
    });
    variables
}

/// The keys whose values an excerpt may show: those of settings that have no settings within.
pub(super) fn shown_keys(schema: &Schema) -> Vec<String> {
    let mut keys = Vec::new();
    visit(schema, &mut Vec::new(), &mut |path, of| {
        let is_section = of.get("properties").is_some();
        keys.extend(path.last().filter(|_| !is_section).map(|key| (*key).to_owned()));
    });
    keys
}

/// Makes the paths in `value` that are relative to the configuration in `directory` relative to where the service runs.
pub(super) fn resolve_paths(schema: &Schema, value: &mut Value, directory: &Path) {
    visit(schema, &mut Vec::new(), &mut |path, of| {
        if of["x-beside"] == true
            && let Some(file) = path.iter().try_fold(&mut *value, |value, key| value.get_mut(*key))
            && let Some(path) = file.as_str()
        {
            *file = directory.join(path).display().to_string().into();
        }
    });
}

/// `base` with what `over` says in its place.
pub(super) fn merge(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Mapping(base), Value::Mapping(over)) => {
            for (key, value) in over {
                merge(base.entry(key).or_insert(Value::Mapping(Mapping::new())), value);
            }
        }
        (base, over) => *base = over,
    }
}

impl Config {
    /// The settings in which `next` differs and which take effect only when the service is started again, by their keys in
    /// `config/service.yaml`.
    pub fn needs_restart(&self, next: &Self) -> Vec<String> {
        let [now, then] = [self, next].map(|config| serde_json::to_value(config).unwrap_or_default());
        let mut changed = Vec::new();
        visit(&schema_of::<Self>(), &mut Vec::new(), &mut |path, of| {
            let pointer = format!("/{}", path.join("/"));
            if of["x-restart"] == true && now.pointer(&pointer) != then.pointer(&pointer) {
                changed.push(path.join("."));
            }
        });
        if self.traces.is_some() != next.traces.is_some() {
            changed.push("OTEL_*".to_owned());
        }
        changed
    }
}

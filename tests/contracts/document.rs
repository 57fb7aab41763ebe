//! The document: an answer held against what it says, and whether it is well made itself.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

/// An OpenAPI document.
pub struct Document(pub Json);

impl Document {
    /// What is wrong with an answer to `method` at `path` (as the document writes it); nothing where it is as promised.
    pub fn complaints(&self, (method, path): (&str, &str), status: u16, media_type: &str, body: &str) -> Vec<String> {
        let pointer = format!("/paths/{}/{method}/responses/{status}", escaped(path));
        let Some(response) = self.0.pointer(&pointer) else { return vec![format!("{method} {path}: no {status}")] };
        let essence = media_type.split(';').next().unwrap_or("").trim();
        if response["content"].get(essence).is_none() {
            return vec![format!("{method} {path}: {status} is not {essence}")];
        }
        let here = format!("{pointer}/content/{}/schema", escaped(essence));
        let value = if essence.ends_with("/json") || essence.ends_with("+json") {
            serde_json::from_str(body).expect("the body is JSON")
        } else {
            Json::String(body.to_owned())
        };
        self.misfits(&here, &value)
    }

    /// How `value` differs from the schema at `pointer`.
    pub fn misfits(&self, pointer: &str, value: &Json) -> Vec<String> {
        assert!(self.0.pointer(pointer).is_some(), "the document has no {pointer}");
        let mut root = self.0.clone();
        root["$ref"] = json!(format!("#{}", pointer.replace('{', "%7B").replace('}', "%7D")));
        let validator =
            jsonschema::options().should_validate_formats(true).build(&root).expect("the schemas are valid");
        let described = |error: jsonschema::ValidationError<'_>| format!("{}: {error}", error.instance_path());
        validator.iter_errors(value).map(described).collect()
    }

    /// Every object with a `$ref`, and every schema.
    fn references<'a>(node: &'a Json, found: &mut BTreeSet<&'a str>) {
        match node {
            Json::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Json::as_str));
                fields.values().for_each(|field| Self::references(field, found));
            }
            Json::Array(items) => items.iter().for_each(|item| Self::references(item, found)),
            _ => {}
        }
    }

    /// Panics where the document is not as OpenAPI 3.1 wants it.
    pub fn check(&self) {
        let document = &self.0;
        assert_eq!(document["openapi"], "3.1.0");
        let mut references = BTreeSet::new();
        Self::references(document, &mut references);
        for reference in &references {
            let pointer = reference.strip_prefix('#').expect("a reference into the document");
            assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
        }
        let schemas = document["components"]["schemas"].as_object().expect("schemas");
        for (name, schema) in schemas {
            assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)), "{name}");
            assert!(references.contains(format!("#/components/schemas/{name}").as_str()), "{name} is of no use");
            assert!(jsonschema::meta::is_valid(schema), "{name} is no schema: {schema}");
        }
        for (name, schema) in schemas.iter().filter(|(_, schema)| schema.get("discriminator").is_some()) {
            let mapping = schema["discriminator"]["mapping"].as_object().expect("a mapping");
            let mapped: BTreeSet<&str> = mapping.values().map(|target| target.as_str().expect("a schema")).collect();
            let mut among = BTreeSet::new();
            Self::references(&schema["oneOf"], &mut among);
            assert_eq!(mapped, among, "{name}");
            for (status, target) in mapping {
                let target = target.as_str().and_then(|target| target.strip_prefix('#')).expect("a reference");
                let target = &document.pointer(target).expect("a schema");
                let outcomes =
                    target["allOf"][0]["anyOf"].as_array().map_or(std::slice::from_ref(*target), Vec::as_slice);
                for outcome in outcomes {
                    assert_eq!(outcome["properties"]["status"]["const"], **status, "{name}");
                }
            }
        }
        let mut ids = BTreeSet::new();
        for (path, methods) in document["paths"].as_object().expect("paths") {
            assert!(path.starts_with('/'), "{path}");
            for (method, operation) in methods.as_object().expect("methods") {
                let id = operation["operationId"].as_str().expect("an id");
                assert!(ids.insert(id), "two operations are named {id}");
                let responses = operation["responses"].as_object().expect("responses");
                assert!(responses.contains_key("200"), "{method} {path}");
                for response in responses.values() {
                    assert!(response["description"].is_string() && response["content"].is_object(), "{method} {path}");
                }
                let named: BTreeSet<&str> = operation["parameters"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter(|parameter| parameter["in"] == "path")
                    .map(|parameter| parameter["name"].as_str().expect("a name"))
                    .collect();
                let templated: BTreeSet<&str> =
                    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
                assert_eq!(named, templated, "{method} {path}");
            }
        }
    }
}

/// As a part of a JSON pointer.
pub fn escaped(part: &str) -> String {
    part.replace('~', "~0").replace('/', "~1")
}

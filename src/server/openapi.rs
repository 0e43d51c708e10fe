//! `/api/openapi.json`, made from the same table as the router.

use axum::Json;
use protoclip::config::RunConfig;
use protoclip::train::ControlValues;
use serde_json::{Map, Value, json};

use super::endpoint::Endpoint;
use super::router::routes;

pub(super) fn endpoint() -> Endpoint {
    Endpoint::get("/api/openapi.json", "This description", async || {
        Json(description())
    })
}

fn description() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for endpoint in routes() {
        let path = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        path[endpoint.method.as_str().to_lowercase()] = operation(&endpoint);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "protoclip-studio",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Runs, curves, prototypes and pictures of ProtoCLIP training. \
                            Changes of all runs come as server-sent events from /events.",
        },
        "paths": paths,
        "components": {"schemas": schemas()},
    })
}

fn operation(endpoint: &Endpoint) -> Value {
    let (status, content_type) = endpoint.success;
    let mut responses = json!({
        status.to_string(): {"description": "success", "content": {content_type: {}}},
    });
    for failure in endpoint.failures {
        let schema = if *failure == 422 {
            "FieldErrors"
        } else {
            "Error"
        };
        responses[failure.to_string()] = json!({
            "description": meaning(*failure),
            "content": {"application/json": {"schema": reference(schema)}},
        });
    }
    let mut operation = json!({
        "summary": endpoint.summary,
        "parameters": parameters(endpoint),
        "responses": responses,
    });
    if let Some(schema) = endpoint.body {
        operation["requestBody"] =
            json!({"content": {"application/json": {"schema": reference(schema)}}});
    }
    if let Some(content_type) = endpoint.text_body {
        operation["requestBody"] =
            json!({"content": {content_type: {"schema": {"type": "string"}}}});
    }
    operation
}

fn parameters(endpoint: &Endpoint) -> Vec<Value> {
    let in_path = endpoint
        .path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}));
    let in_query = endpoint.query.iter().map(|(name, meaning)| {
        json!({"name": name, "in": "query", "description": meaning, "schema": {"type": "string"}})
    });
    let palette = endpoint.drawn.then(|| {
        json!({
            "name": "palette", "in": "query",
            "description": "colours; those chosen in the settings unless given",
            "schema": {"type": "string", "enum": ["okabe-ito", "lightness"]},
        })
    });
    in_path.chain(in_query).chain(palette).collect()
}

fn reference(schema: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{schema}")})
}

fn meaning(status: u16) -> &'static str {
    match status {
        400 => "the request cannot be read",
        404 => "there is no such thing",
        409 => "the state does not allow it",
        412 => "it was changed meanwhile; the answer holds what is there",
        422 => "settings are wrong",
        428 => "If-Match is missing",
        503 => "try again soon",
        _ => "failure",
    }
}

fn schemas() -> Value {
    let config = serde_json::to_value(RunConfig::default()).unwrap_or_default();
    let controls = serde_json::to_value(ControlValues::of(&RunConfig::default()));
    json!({
        "RunConfig": schema_like(&config),
        "DataConfig": schema_like(&config["data"]),
        "Controls": schema_like(&controls.unwrap_or_default()),
        "Fork": {"type": "object", "properties": {
            "step": {"type": "integer"},
            "name": {"type": "string"},
            "episodes": {"type": "integer"},
            "settings": {"type": "object", "description":
                "other settings by dotted name, such as optimizer.learning_rate or prototypes.count"},
        }},
        "Import": {"type": "object", "required": ["file"], "properties": {
            "file": {"type": "string", "description": "path on the server's machine"},
            "name": {"type": "string"},
            "model": {"type": "string"},
        }},
        "CurveImport": {"type": "object", "required": ["directory"], "properties": {
            "directory": {"type": "string", "description": "folder on the server's machine"},
            "name": {"type": "string"},
        }},
        "Evaluation": {"type": "object", "properties": {
            "data_set": {"type": "string", "description": "id; empty for the run's own data"},
            "probe": {"type": "boolean"},
        }},
        "Teacher": {"type": "object", "required": ["model"], "properties": {
            "model": {"type": "string", "description":
                "folder of a Hugging Face BERT or RoBERTa model on the server's machine"},
            "dim": {"type": "integer", "default": 64, "description":
                "principal components that are kept; 0 keeps all numbers"},
        }},
        "MapKey": {"type": "object", "properties": {
            "step": {"type": "integer"},
            "space": {"type": "string", "enum": ["image", "text", "joint"]},
            "method": {"type": "string", "enum": ["tsne", "pca", "diffusion", "random"]},
            "features": {"type": "string", "enum": ["clustered", "tower"]},
        }},
        "NewNotebook": {"type": "object", "required": ["name"], "properties": {
            "name": {"type": "string"},
            "template": {"type": "string", "description": "name of a template; empty when absent"},
            "text": {"type": "string", "description": "the text itself"},
        }},
        "NotebookEdit": {"type": "object", "properties": {"name": {"type": "string"}}},
        "ControlValue": {"type": "object", "properties": {"value": {}}},
        "RunCells": {"type": "object", "properties": {
            "cells": {"type": "array", "items": {"type": "string"}},
            "which": {"type": "string", "enum": ["views", "stale", "all"], "default": "views"},
            "effects": {"type": "boolean", "default": false},
        }},
        "CellName": {"type": "object", "properties": {
            "cell": {"type": "string", "description": "all cells when absent"},
        }},
        "RunEdit": {"type": "object", "properties": {
            "name": {"type": "string"},
            "tags": {"type": "array", "items": {"type": "string"}},
        }},
        "Error": {"type": "object", "properties": {"error": {"type": "string"}}},
        "FieldErrors": {"type": "object", "properties": {"errors": {
            "type": "array",
            "items": {"type": "object", "properties": {
                "field": {"type": "string"}, "message": {"type": "string"},
            }},
        }}},
    })
}

/// A schema whose fields have the types and defaults of an example; every field may be left out.
fn schema_like(example: &Value) -> Value {
    match example {
        Value::Object(fields) => {
            let properties: Map<String, Value> = fields
                .iter()
                .map(|(name, value)| (name.clone(), schema_like(value)))
                .collect();
            json!({"type": "object", "properties": properties})
        }
        Value::Array(items) => {
            let items = items.first().map_or_else(|| json!({}), schema_like);
            json!({"type": "array", "items": items})
        }
        Value::String(_) => json!({"type": "string", "default": example}),
        Value::Bool(_) => json!({"type": "boolean", "default": example}),
        Value::Number(n) if n.is_f64() => json!({"type": "number", "default": example}),
        Value::Number(_) => json!({"type": "integer", "default": example}),
        Value::Null => json!({}),
    }
}

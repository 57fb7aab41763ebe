//! Errors and warnings about files.
//!
//! The graph, the rules and the configuration report problems in one form: a [`Diagnostic`] with a stable code, the place in the
//! file, what was expected and the remedy. A reader collects as many as it finds into [`Diagnostics`] and returns them at once.
//! `annotate-snippets` renders them with a caret under the source line. Nothing here reads a file or prints.

mod allow;
mod diagnostic;
mod nearest;
mod render;
mod secrets;
mod source;

pub use allow::Comments;
pub use diagnostic::{Diagnostic, Diagnostics, Place, Severity};
pub use nearest::{nearest, suggest};
pub use render::{Style, render_json, render_text};
pub use secrets::{covered, is_secret};
pub use source::{Position, Snippet, Source, Span};

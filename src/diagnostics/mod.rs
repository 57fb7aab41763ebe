//! How every file Tributary reads is refused.
//!
//! The graph, the rules and the configuration all complain in one form: a [`Diagnostic`] with a stable code, the place
//! in the file, what was expected and how to mend it. A reader collects as many as it can find into [`Diagnostics`] and
//! gives them back at once. Rendering (a caret under the source line, or JSON for editors) is the work of
//! `annotate-snippets`; this room decides only what is said. It never reads a file and never prints.

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

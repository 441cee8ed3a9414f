//! The templates of pages, which escape everything but what is said to be safe.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};
use serde::Serialize;

use super::tables::Grid;

/// By name.
const TEMPLATES: [(&str, &str); 5] = [
    ("report.html", include_str!("templates/report.html")),
    ("comparison.html", include_str!("templates/comparison.html")),
    ("section.html", include_str!("templates/section.html")),
    ("table.html", include_str!("templates/table.html")),
    ("verdict.html", include_str!("templates/verdict.html")),
];

/// What all pages look like.
const STYLE: &str = include_str!("templates/style.css");

/// The templates, ready to be filled.
pub(super) struct Templates {
    environment: Environment<'static>,
}

impl Templates {
    pub(super) fn new() -> Self {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let mut syntax = SyntaxConfig::builder();
        syntax.trim_blocks(true).lstrip_blocks(true);
        environment.set_syntax(syntax.build().expect("the usual delimiters are valid"));
        let style = STYLE.trim_end().to_owned();
        environment.add_global("style", Value::from_safe_string(style));
        for (name, text) in TEMPLATES {
            environment.add_template(name, text).expect("the built-in templates parse");
        }
        Self { environment }
    }

    /// A page, or a piece of one.
    pub(super) fn fill(&self, name: &str, view: &impl Serialize) -> String {
        let template = self.environment.get_template(name).expect("the template is built in");
        template
            .render(Serde(view))
            .expect("the built-in templates name only fields of their views")
    }

    /// A table, as a piece of a page.
    pub(super) fn table(&self, grid: &Grid) -> Value {
        Value::from_safe_string(self.fill("table.html", grid))
    }
}

//! Problems as a person reads them: each with its place underlined in the text.

use std::fmt::{self, Write as _};
use std::ops::Range;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError,
    MietteSpanContents, SourceCode, SourceSpan, SpanContents,
};

use super::document::{Document, Source};
use super::line_of;
use super::problem::{Problem, Problems};
use crate::prompt::{turns_text, visible, visible_lines};

/// How many problems are shown: each costs a walk through the text.
const SHOWN: usize = 50;
/// How many are shown of a file above [`LARGE`].
const SHOWN_OF_LARGE: usize = 10;
/// Where a file is large, in bytes.
const LARGE: usize = 1 << 20;

/// Lines longer than this are cut around the place that is shown, in bytes.
const LONG_LINE: usize = 240;

/// Everything that is wrong with a pipeline file.
#[derive(Debug)]
pub struct Report {
    document: Document,
    problems: Vec<Problem>,
}

impl Report {
    /// The problems of a document, in the order in which they were found.
    pub fn new(document: Document, problems: Problems) -> Self {
        Self { document, problems: problems.into_vec() }
    }

    /// The problems, in the same order.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The text for a terminal of `width` columns, or for a file.
    pub fn render(&self, width: usize, colour: bool) -> String {
        let theme =
            if colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let handler = GraphicalReportHandler::new_themed(theme)
            .with_width(width)
            .with_links(false)
            .without_syntax_highlighting();
        let is_large = self.document.source(Source::File).1.len() > LARGE;
        let shown = self.problems.iter().take(if is_large { SHOWN_OF_LARGE } else { SHOWN });
        let mut placed: Vec<_> =
            shown.map(|problem| (self.document.place(problem), problem)).collect();
        placed.sort_by_key(|((source, span), _)| (*source, span.start));
        let mut text = String::new();
        for ((source, span), problem) in &placed {
            let shown = Shown { problem, excerpt: self.excerpt(*source, span.clone()) };
            handler.render_report(&mut text, &shown).expect("writing to a string succeeds");
            text.push('\n');
        }
        let more = self.problems.len() - placed.len();
        if more > 0 {
            let _ = writeln!(text, "and {more} more, shown once these are solved");
        }
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        format!("{}\n\n{self}\n", lines.join("\n").trim_end_matches('\n'))
    }

    fn excerpt(&self, source: Source, span: Range<usize>) -> Option<Excerpt> {
        let (name, text) = self.document.source(source);
        (!text.is_empty()).then(|| Excerpt::new(name, text, span))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.document.name();
        match self.problems.len() {
            1 => write!(f, "1 problem in {name}"),
            count => write!(f, "{count} problems in {name}"),
        }
    }
}

/// The text with characters that would steer the terminal replaced by others of the same size.
fn without_controls(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\r' | '\t' => c,
            c if !c.is_control() && !turns_text(c) => c,
            c => match c.len_utf8() {
                1 => '?',
                2 => '¿',
                _ => char::REPLACEMENT_CHARACTER,
            },
        })
        .collect()
}

/// One place, its line and the lines beside it. The whole text stays out: miette would walk through
/// all of it for each problem.
#[derive(Debug)]
struct Excerpt {
    name: String,
    /// The lines, or a piece of one that is long.
    text: String,
    /// The place, in `text`.
    span: Range<usize>,
    /// Lines of the file in front of `text`.
    lines_before: usize,
    /// Characters in front of `text` in its first line, when that is cut.
    columns_before: usize,
}

impl Excerpt {
    fn new(name: &str, text: &str, span: Range<usize>) -> Self {
        let start = text.floor_char_boundary(span.start);
        let line_start = |at: usize| text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = |at: usize| text[at..].find('\n').map_or(text.len(), |end| at + end);
        let own = line_start(start)..line_end(start);
        let mut end = text.ceil_char_boundary(span.end.clamp(start, own.end));
        let mut from = line_start(own.start.saturating_sub(1));
        let mut to = line_end((own.end + 1).min(text.len()));
        if text[from..to].lines().any(|line| line.len() > LONG_LINE) {
            from = text.ceil_char_boundary(own.start.max(start.saturating_sub(LONG_LINE / 3)));
            to = text.floor_char_boundary(own.end.min(start + LONG_LINE / 2)).max(start);
            end = end.min(to);
        }
        Self {
            name: name.to_owned(),
            text: without_controls(&text[from..to]),
            span: start - from..end - from,
            lines_before: line_of(text.as_bytes(), from) - 1,
            columns_before: text[line_start(from)..from].chars().count(),
        }
    }
}

impl SourceCode for Excerpt {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let found = self.text.read_span(span, before, after)?;
        // miette counts columns in bytes, editors count characters.
        let before = &self.text[..found.span().offset()];
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count();
        let column = column + if found.line() == 0 { self.columns_before } else { 0 };
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.clone(),
            found.data(),
            *found.span(),
            found.line() + self.lines_before,
            column,
            found.line_count(),
        )))
    }
}

/// One problem in miette's terms.
#[derive(Debug)]
struct Shown<'a> {
    problem: &'a Problem,
    excerpt: Option<Excerpt>,
}

impl std::error::Error for Shown<'_> {}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&visible_lines(&self.problem.message))
    }
}

impl Diagnostic for Shown<'_> {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let help = &self.problem.help;
        (!help.is_empty()).then(|| Box::new(visible_lines(help)) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.excerpt.as_ref().map(|excerpt| excerpt as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let excerpt = self.excerpt.as_ref()?;
        let span = excerpt.span.clone();
        let at = visible(&self.problem.at.to_string());
        let label = if at.is_empty() { "here".to_owned() } else { at };
        let length = span.end - span.start;
        Some(Box::new(std::iter::once(LabeledSpan::new(Some(label), span.start, length))))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::yaml::{Node, Path, Spot};

    const TINY: &str = include_str!("../../tests/fixtures/tiny.yml");

    fn everywhere(node: &Node, at: &Path, problems: &mut Problems) {
        for spot in [Spot::Value, Spot::Key, Spot::Entry(0), Spot::Entry(9)] {
            problems.push_spot(at, spot, "message", "help");
        }
        for (i, child) in node.elements().unwrap_or_default().iter().enumerate() {
            everywhere(child, &at.index(i), problems);
        }
        for (key, child) in node.entries().unwrap_or_default() {
            everywhere(child, &at.key(key), problems);
        }
    }

    /// Reads `text`, with a problem at every place of it, and shows the report.
    fn show_all(text: &[u8], overrides: &[String]) {
        let (document, mut problems) = Document::new("x.yml", text, overrides);
        if let Some(root) = document.root() {
            everywhere(root, &Path::default(), &mut problems);
        }
        let rendered = Report::new(document, problems).render(80, false);
        assert!(!rendered.contains('\u{1b}'), "{rendered}");
    }

    #[test]
    fn line_and_column_are_those_of_the_file_also_in_long_lines() {
        let text = format!(
            "a: 1\n{}\nb: {{ x: '{}', y: 日本, z: 7 }}\n",
            "#".repeat(999),
            "é".repeat(500)
        );
        let (document, mut problems) = Document::new("x.yml", text.as_bytes(), &[]);
        problems.push(&Path::default().key("b").key("z"), "message", "help");
        let rendered = Report::new(document, problems).render(80, false);
        assert!(rendered.contains("x.yml:3:523"), "{rendered}");
        assert!(rendered.contains("z: 7 }"), "{rendered}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_damage_to_a_file_stops_the_report(
            at in 0..TINY.len(),
            cut in 0..40_usize,
            put in prop_oneof![
                any::<Vec<u8>>(),
                "[\\[\\]{}:,#&*!|>'\"%@`~ \n\r\té\u{1b}\u{85}-]{0,8}".prop_map(String::into_bytes)
            ],
        ) {
            let mut bytes = TINY.as_bytes().to_vec();
            bytes.splice(at..(at + cut).min(TINY.len()), put);
            show_all(&bytes, &[]);
        }

        #[test]
        fn no_set_stops_the_report(set in "(stages|name|scenarios\\[0\\])(\\.[a-z0-9]{0,6}){0,2}=\\PC{0,12}") {
            show_all(TINY.as_bytes(), &[set]);
        }

        #[test]
        fn what_is_written_is_read_again(id in "\\PC{1,12}", text in any::<String>()) {
            prop_assume!(id != "<<");
            let map = std::collections::BTreeMap::from([(id.clone(), text.clone())]);
            let (document, problems) =
                Document::new("x.yml", crate::yaml::to_yaml(&map).as_bytes(), &[]);
            prop_assert!(problems.is_empty());
            let node = document.root().and_then(|root| root.get(&id));
            prop_assert_eq!(node.and_then(Node::text), Some(text.as_str()));
        }
    }
}

//! Problems as a person reads them: each with its place underlined in the text.

use std::fmt::{self, Write as _};
use std::ops::Range;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError,
    MietteSpanContents, SourceCode, SourceSpan, SpanContents,
};

use super::document::{Document, Source};
use super::problem::{Problem, Problems};

/// How many problems are shown whole.
const SHOWN: usize = 50;

/// Lines longer than this are cut around the place that is shown, in bytes.
const LONG_LINE: usize = 240;

/// Everything that is wrong with a pipeline file.
#[derive(Debug)]
pub struct Report {
    document: Document,
    problems: Vec<Problem>,
}

impl Report {
    /// The problems of a document, in the order in which they stand in it.
    pub fn new(document: Document, problems: Problems) -> Self {
        Self { document, problems: problems.into_vec() }
    }

    /// The problems, in the order in which they were found.
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
        // Finding a place costs a walk through the text, so only what is shown is placed.
        let shown = self.problems.iter().take(SHOWN);
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
            let _ = writeln!(text, "and {more} more, told when these are solved");
        }
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        format!("{}\n\n{self}\n", lines.join("\n").trim_end_matches('\n'))
    }

    fn excerpt(&self, source: Source, span: Range<usize>) -> Option<Excerpt> {
        let (name, text) = self.document.source(source);
        if text.is_empty() {
            return None;
        }
        let start = text.floor_char_boundary(span.start);
        let end = text.ceil_char_boundary(span.end.clamp(start, text.len()));
        Some(Excerpt { name: name.to_owned(), text: without_controls(text), span: start..end })
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
            c if c.is_control() && c.len_utf8() == 1 => '?',
            c if c.is_control() => '¿',
            c => c,
        })
        .collect()
}

/// The text around one place.
#[derive(Debug)]
struct Excerpt {
    name: String,
    text: String,
    span: Range<usize>,
}

impl SourceCode for Excerpt {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let found = self.text.read_span(span, before, after)?;
        let window = std::str::from_utf8(found.data()).unwrap_or_default();
        let mut contents = (*found.span(), found.line(), found.column());
        if window.lines().any(|line| line.len() > LONG_LINE) {
            // One line alone, cut on both sides.
            let before = self.text[..span.offset()].rfind('\n').map_or(0, |newline| newline + 1);
            let from = before.max(span.offset().saturating_sub(LONG_LINE / 3));
            let from = self.text.ceil_char_boundary(from);
            let to = (span.offset() + LONG_LINE / 2).min(self.text.len());
            let to = self.text.floor_char_boundary(to);
            let line = self.text[from..to].find('\n').map_or(to, |newline| from + newline);
            let number = self.text[..span.offset()].matches('\n').count();
            contents = ((from, line.max(span.offset()) - from).into(), number, from - before);
        }
        let (span, line, column) = contents;
        let data = &self.text.as_bytes()[span.offset()..span.offset() + span.len()];
        let name = self.name.clone();
        Ok(Box::new(MietteSpanContents::new_named(name, data, span, line, column, 1)))
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
        f.write_str(&self.problem.message)
    }
}

impl Diagnostic for Shown<'_> {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(&self.problem.help))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.excerpt.as_ref().map(|excerpt| excerpt as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let excerpt = self.excerpt.as_ref()?;
        let span = excerpt.span.clone();
        let at = self.problem.at.to_string();
        let label = if at.is_empty() { "here".to_owned() } else { at };
        let visible = excerpt.text[..span.start].rfind('\n').map_or(0, |newline| newline + 1);
        let longest = visible.max(span.start) + LONG_LINE / 3;
        let length = span.end.min(longest.max(span.start)) - span.start;
        Some(Box::new(std::iter::once(LabeledSpan::new(Some(label), span.start, length))))
    }
}

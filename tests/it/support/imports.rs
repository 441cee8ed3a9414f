//! Which file of `src` imports from which. Names are followed through re-exports to the file that
//! defines them; what stands under `#[cfg(test)]` does not count.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemUse, UseTree, Visibility};

/// The names along a path, from the crate's root.
type Names = Vec<String>;

/// Most re-exports that a name is followed through.
const MOST_FOLLOWED: usize = 8;

/// The files of a crate's `src`, as far as they import each other.
pub(crate) struct Sources {
    modules: BTreeMap<Names, Module>,
}

struct Module {
    /// Its file, relative to `src`.
    file: String,
    /// What its `use` lines bring in: name, and where it comes from.
    brought: BTreeMap<String, Names>,
    /// Every path into the crate that its code names.
    named: BTreeSet<Names>,
}

impl Sources {
    /// Parses every file below `src`.
    pub(crate) fn read(src: &Path) -> Self {
        let texts = files(src).into_iter().map(|path| {
            let file = path.strip_prefix(src).unwrap().to_str().unwrap().replace('\\', "/");
            (file, fs::read_to_string(path).unwrap())
        });
        Self::of(texts)
    }

    /// Parses files that are given by name and text.
    pub(crate) fn of(texts: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut modules = BTreeMap::new();
        for (file, text) in texts.into_iter().filter(|(file, _)| file != "main.rs") {
            let names = file.trim_end_matches(".rs").split('/').map(str::to_owned);
            let mut at: Names = names.collect();
            at.pop_if(|last| ["mod", "lib"].contains(&last.as_str()));
            let parsed = syn::parse_file(&text).unwrap_or_else(|e| panic!("{file}: {e}"));
            let mut reader = Reader::new(at.clone());
            reader.visit_file(&parsed);
            let Reader { brought, named, .. } = reader;
            modules.insert(at, Module { file, brought, named });
        }
        Self { modules }
    }

    /// For each file the files that it imports from.
    pub(crate) fn imports(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let imports = self.modules.values().map(|module| {
            let homes = module.named.iter().filter_map(|names| self.home(names, 0));
            (module.file.as_str(), homes.filter(|file| *file != module.file).collect())
        });
        imports.collect()
    }

    /// The file that defines what a path leads to.
    fn home(&self, names: &[String], followed: usize) -> Option<&str> {
        let deepest = (0..=names.len()).rev().find(|n| self.modules.contains_key(&names[..*n]))?;
        let module = &self.modules[&names[..deepest]];
        let origin = names.get(deepest).and_then(|next| module.brought.get(next));
        match origin {
            Some(origin) if followed < MOST_FOLLOWED => {
                let path: Names = origin.iter().chain(&names[deepest + 1..]).cloned().collect();
                self.home(&path, followed + 1)
            }
            _ => Some(&module.file),
        }
    }

    /// Sets of files that import each other, directly or by way of others. A `mod.rs` may use its
    /// own children, and they the words that it defines: their imports of it do not count.
    pub(crate) fn circles(&self) -> Vec<Vec<&str>> {
        let mut imports = self.imports();
        for (file, from) in &mut imports {
            from.retain(|other| !is_parent(other, file));
        }
        let reached: BTreeMap<&str, BTreeSet<&str>> =
            imports.keys().map(|file| (*file, reach(&imports, file))).collect();
        let mut circles: Vec<Vec<&str>> = Vec::new();
        for (file, reaches) in &reached {
            let is_known = circles.iter().any(|circle| circle.contains(file));
            if !is_known && reaches.contains(file) {
                let back = reaches.iter().filter(|other| reached[**other].contains(file));
                circles.push(back.copied().collect());
            }
        }
        circles
    }
}

/// Every file that a file imports from, directly or by way of others.
fn reach<'f>(imports: &BTreeMap<&'f str, BTreeSet<&'f str>>, file: &str) -> BTreeSet<&'f str> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&str> = imports[file].iter().copied().collect();
    while let Some(next) = open.pop() {
        if reached.insert(next) {
            open.extend(&imports[next]);
        }
    }
    reached
}

/// Whether `parent` is the `mod.rs` that declares the module of `file`.
fn is_parent(parent: &str, file: &str) -> bool {
    let Some(folder) = parent.strip_suffix("mod.rs") else { return false };
    let Some(below) = file.strip_prefix(folder) else { return false };
    let steps = below.trim_end_matches("/mod.rs");
    below != "mod.rs" && !steps.contains('/')
}

/// Every Rust file below a folder, in order.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Reads the imports of one file.
struct Reader {
    at: Names,
    brought: BTreeMap<String, Names>,
    named: BTreeSet<Names>,
    /// In a re-export, which makes no use of what it passes on.
    is_passing_on: bool,
}

impl Reader {
    fn new(at: Names) -> Self {
        Self { at, brought: BTreeMap::new(), named: BTreeSet::new(), is_passing_on: false }
    }

    /// A path from the crate's root; one that begins with another name is taken for one below this
    /// module, where another crate's finds no file.
    fn absolute(&self, names: &[String]) -> Option<Names> {
        let mut at = if names.first()? == "crate" { Names::new() } else { self.at.clone() };
        let is_start = ["crate", "self"].contains(&names[0].as_str());
        let mut rest = &names[usize::from(is_start)..];
        while rest.first().is_some_and(|name| name == "super") {
            at.pop()?;
            rest = &rest[1..];
        }
        at.extend(rest.iter().cloned());
        Some(at)
    }

    fn bring(&mut self, before: &mut Names, tree: &UseTree) {
        match tree {
            UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.bring(before, &path.tree);
                before.pop();
            }
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.bring(before, tree)),
            UseTree::Name(name) => self.add(before, &name.ident.to_string(), None),
            UseTree::Rename(name) => {
                self.add(before, &name.ident.to_string(), Some(name.rename.to_string()));
            }
            UseTree::Glob(_) => self.add(before, "self", None),
        }
    }

    fn add(&mut self, before: &[String], name: &str, renamed: Option<String>) {
        let mut names = before.to_vec();
        if name != "self" {
            names.push(name.to_owned());
        }
        let Some(absolute) = self.absolute(&names) else { return };
        let called = renamed.or_else(|| names.last().cloned()).unwrap_or_default();
        self.brought.insert(called, absolute.clone());
        if !self.is_passing_on {
            self.named.insert(absolute);
        }
    }

    fn name(&mut self, names: &[String]) {
        if ["crate", "super", "self"].contains(&names[0].as_str()) && names.len() > 1 {
            self.named.extend(self.absolute(names));
        } else if let Some(origin) = self.brought.get(&names[0]) {
            self.named.insert(origin.iter().chain(&names[1..]).cloned().collect());
        }
    }

    /// Paths among a macro's tokens, which are no syntax tree.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut names = Names::new();
        let mut colons = 0;
        for tree in tokens {
            match &tree {
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.end(&mut names);
                    }
                    names.push(ident.to_string());
                    colons = 0;
                }
                other => {
                    self.end(&mut names);
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.tokens(group.stream());
                    }
                }
            }
        }
        self.end(&mut names);
    }

    fn end(&mut self, names: &mut Names) {
        let names = std::mem::take(names);
        if !names.is_empty() {
            self.name(&names);
        }
    }
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    let is_test = |of: &Attribute| {
        of.path().is_ident("cfg") && of.parse_args::<syn::Path>().is_ok_and(|p| p.is_ident("test"))
    };
    attributes.iter().any(is_test)
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Mod(item) => &item.attrs[..],
            Item::Fn(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            _ => &[],
        };
        if !is_for_tests(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.is_passing_on = !matches!(item.vis, Visibility::Inherited);
        self.bring(&mut Names::new(), &item.tree);
        self.is_passing_on = false;
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Names = path.segments.iter().map(|s| s.ident.to_string()).collect();
        self.name(&names);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.tokens(item.tokens.clone());
        visit::visit_macro(self, item);
    }
}

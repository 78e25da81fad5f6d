//! Names in a file of Rust, as the compiler's grammar has them: grouped imports taken apart, the
//! inside of macros read too, and for each whether only tests are compiled from it.

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Ident, ImplItem, Item, Meta, Stmt, TraitItem, UseTree, Visibility};

/// A name, or a path of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    /// `a::b::c`, of a grouped import each one by itself; a glob ends with `*`.
    pub(super) path: Vec<String>,
    pub(super) kind: Kind,
    pub(super) line: usize,
    /// Compiled for tests only.
    pub(super) test: bool,
    /// Modules inside the file that it is in.
    pub(super) inside: Vec<String>,
}

/// What a word is in the grammar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `use`, under this name (`_`: none).
    Import { name: String },
    /// `pub use`, of any visibility.
    Export { name: String },
    /// `extern crate`.
    ExternCrate,
    /// A path in an expression, type or pattern.
    Path,
    /// The function of a call, or the macro.
    Called,
    /// The type of a value that is made field by field; `Self` is given its name.
    Made,
    /// `value.method()`.
    Method,
    /// Anything in the tokens of a macro or an attribute.
    Tokens,
    /// Any other name: what is defined, fields, bindings.
    Name,
}

/// `mod name;`, possibly inside of other modules of the file.
#[derive(Debug)]
pub(super) struct Declared {
    pub(super) names: Vec<String>,
    pub(super) test: bool,
    /// `#[path = "…"]`.
    pub(super) path: Option<String>,
}

impl Word {
    pub(super) fn last(&self) -> &str {
        self.path.last().map_or("", String::as_str)
    }

    pub(super) fn starts_with(&self, path: &[&str]) -> bool {
        self.path.len() >= path.len() && self.path.iter().zip(path).all(|(a, b)| a == b)
    }
}

/// Lines with one of these names in them, wherever in the grammar: not those in comments and text.
pub(super) fn lines_with(text: &str, names: &[&str]) -> Vec<usize> {
    fn walk(tokens: TokenStream, names: &[&str], lines: &mut Vec<usize>) {
        for token in tokens {
            match token {
                TokenTree::Ident(ident) if names.iter().any(|name| ident == name) => {
                    lines.push(ident.span().start().line);
                }
                TokenTree::Group(group) => walk(group.stream(), names, lines),
                _ => {}
            }
        }
    }
    let mut lines = Vec::new();
    walk(text.parse().unwrap(), names, &mut lines);
    lines
}

/// The words of a file, and the modules that it declares.
pub(super) fn words(text: &str) -> Result<(Vec<Word>, Vec<Declared>), syn::Error> {
    let file = syn::parse_file(text)?;
    let mut reader = Reader::default();
    reader.visit_file(&file);
    Ok((reader.words, reader.declared))
}

#[derive(Default)]
struct Reader {
    words: Vec<Word>,
    declared: Vec<Declared>,
    /// How many of the things around are for tests only.
    tests: usize,
    inside: Vec<String>,
    /// What `Self` is.
    own: Vec<String>,
}

impl Reader {
    fn add(&mut self, path: Vec<String>, kind: Kind, line: usize) {
        let (test, inside) = (self.tests > 0, self.inside.clone());
        self.words.push(Word { path, kind, line, test, inside });
    }

    /// Runs `visit` on something with these attributes.
    fn under(&mut self, attributes: &[Attribute], visit: impl FnOnce(&mut Reader)) {
        let test = usize::from(attributes.iter().any(is_for_tests));
        self.tests += test;
        visit(self);
        self.tests -= test;
    }

    fn import(&mut self, tree: &UseTree, before: &[String], exported: bool) {
        let mut done = |ident: &Ident, name: &Ident, last: Option<&str>| {
            let last = last.map_or_else(|| ident.to_string(), str::to_owned);
            let path = match last.as_str() {
                "self" => before.to_vec(),
                _ => [before, &[last]].concat(),
            };
            let name = match name.to_string().as_str() {
                "self" => path.last().cloned().unwrap_or_default(),
                name => name.to_owned(),
            };
            let kind = if exported { Kind::Export { name } } else { Kind::Import { name } };
            self.add(path, kind, ident.span().start().line);
        };
        match tree {
            UseTree::Path(path) => {
                let before = [before, &[path.ident.to_string()]].concat();
                self.import(&path.tree, &before, exported);
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.import(tree, before, exported);
                }
            }
            UseTree::Name(name) => done(&name.ident, &name.ident, None),
            UseTree::Rename(rename) => done(&rename.ident, &rename.rename, None),
            UseTree::Glob(glob) => {
                let star = Ident::new("glob", glob.star_token.spans[0]);
                done(&star, &star, Some("*"));
            }
        }
    }

    /// Paths in tokens that no grammar is known for.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut line = 0;
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 && !path.is_empty() {
                        self.add(std::mem::take(&mut path), Kind::Tokens, line);
                    }
                    line = ident.span().start().line;
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Group(group) => {
                    colons = 0;
                    if !path.is_empty() {
                        self.add(std::mem::take(&mut path), Kind::Tokens, line);
                    }
                    // `a::{b, c}` in a macro: three words.
                    self.tokens(group.stream());
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => colons = 0,
            }
        }
        if !path.is_empty() {
            self.add(path, Kind::Tokens, line);
        }
    }

    fn path(&mut self, path: &syn::Path, kind: Kind) {
        let names: Vec<String> =
            path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if let Some(first) = path.segments.first() {
            self.add(names, kind, first.ident.span().start().line);
        }
        for segment in &path.segments {
            self.visit_path_arguments(&segment.arguments);
        }
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_file(&mut self, file: &'ast syn::File) {
        self.under(&file.attrs, |reader| visit::visit_file(reader, file));
    }

    fn visit_item(&mut self, item: &'ast Item) {
        let attributes: &[Attribute] = match item {
            Item::Const(item) => &item.attrs,
            Item::Enum(item) => &item.attrs,
            Item::ExternCrate(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::ForeignMod(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            Item::Macro(item) => &item.attrs,
            Item::Mod(item) => &item.attrs,
            Item::Static(item) => &item.attrs,
            Item::Struct(item) => &item.attrs,
            Item::Trait(item) => &item.attrs,
            Item::TraitAlias(item) => &item.attrs,
            Item::Type(item) => &item.attrs,
            Item::Union(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            _ => &[],
        };
        self.under(attributes, |reader| visit::visit_item(reader, item));
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let attributes: &[Attribute] = match item {
            ImplItem::Const(item) => &item.attrs,
            ImplItem::Fn(item) => &item.attrs,
            ImplItem::Macro(item) => &item.attrs,
            ImplItem::Type(item) => &item.attrs,
            _ => &[],
        };
        self.under(attributes, |reader| visit::visit_impl_item(reader, item));
    }

    fn visit_trait_item(&mut self, item: &'ast TraitItem) {
        let attributes: &[Attribute] = match item {
            TraitItem::Const(item) => &item.attrs,
            TraitItem::Fn(item) => &item.attrs,
            TraitItem::Macro(item) => &item.attrs,
            TraitItem::Type(item) => &item.attrs,
            _ => &[],
        };
        self.under(attributes, |reader| visit::visit_trait_item(reader, item));
    }

    fn visit_stmt(&mut self, statement: &'ast Stmt) {
        let attributes: &[Attribute] = match statement {
            Stmt::Local(local) => &local.attrs,
            Stmt::Macro(statement) => &statement.attrs,
            _ => &[],
        };
        self.under(attributes, |reader| visit::visit_stmt(reader, statement));
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let name = item.ident.to_string();
        if item.content.is_none() {
            let names = [&self.inside[..], &[name]].concat();
            let path = item.attrs.iter().find_map(path_of);
            self.declared.push(Declared { names, test: self.tests > 0, path });
            return;
        }
        self.inside.push(name);
        visit::visit_item_mod(self, item);
        self.inside.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let exported = !matches!(item.vis, Visibility::Inherited);
        self.import(&item.tree, &[], exported);
    }

    fn visit_item_extern_crate(&mut self, item: &'ast syn::ItemExternCrate) {
        let line = item.ident.span().start().line;
        self.add(vec![item.ident.to_string()], Kind::ExternCrate, line);
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        if let syn::Expr::Path(function) = &*call.func {
            self.path(&function.path, Kind::Called);
            if let Some(of) = &function.qself {
                self.visit_qself(of);
            }
        } else {
            self.visit_expr(&call.func);
        }
        for argument in &call.args {
            self.visit_expr(argument);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let own = match &*item.self_ty {
            syn::Type::Path(of) => of.path.segments.iter().map(|s| s.ident.to_string()).collect(),
            _ => Vec::new(),
        };
        let before = std::mem::replace(&mut self.own, own);
        visit::visit_item_impl(self, item);
        self.own = before;
    }

    fn visit_expr_struct(&mut self, value: &'ast syn::ExprStruct) {
        if value.path.is_ident("Self") {
            self.add(
                self.own.clone(),
                Kind::Made,
                value.path.segments[0].ident.span().start().line,
            );
        } else {
            self.path(&value.path, Kind::Made);
        }
        for field in &value.fields {
            self.visit_field_value(field);
        }
        if let Some(rest) = &value.rest {
            self.visit_expr(rest);
        }
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        let line = call.method.span().start().line;
        self.add(vec![call.method.to_string()], Kind::Method, line);
        self.visit_expr(&call.receiver);
        if let Some(arguments) = &call.turbofish {
            self.visit_angle_bracketed_generic_arguments(arguments);
        }
        for argument in &call.args {
            self.visit_expr(argument);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.path(path, Kind::Path);
    }

    fn visit_macro(&mut self, of: &'ast syn::Macro) {
        self.path(&of.path, Kind::Called);
        self.tokens(of.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let Meta::List(list) = &attribute.meta {
            self.path(&list.path, Kind::Tokens);
            self.tokens(list.tokens.clone());
        }
    }

    fn visit_ident(&mut self, ident: &'ast Ident) {
        self.add(vec![ident.to_string()], Kind::Name, ident.span().start().line);
    }
}

/// Whether what has this attribute is compiled for tests only: `#[test]`, `#[cfg(test)]`,
/// `#[cfg(all(test, …))]` and the feature `testing`, and nothing else that has `test` in it.
fn is_for_tests(attribute: &Attribute) -> bool {
    if attribute.path().segments.last().is_some_and(|segment| segment.ident == "test") {
        return true;
    }
    let Meta::List(list) = &attribute.meta else { return false };
    let tokens: String = list.tokens.to_string().split_whitespace().collect();
    let testing = "any(test,feature=\"testing\")";
    list.path.is_ident("cfg")
        && (tokens == "test" || tokens == testing || tokens.starts_with("all(test,"))
}

fn path_of(attribute: &Attribute) -> Option<String> {
    let Meta::NameValue(pair) = &attribute.meta else { return None };
    let syn::Expr::Lit(literal) = &pair.value else { return None };
    match &literal.lit {
        syn::Lit::Str(text) if pair.path.is_ident("path") => Some(text.value()),
        _ => None,
    }
}

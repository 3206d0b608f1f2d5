//! What the texts of the workspace must hold: links that lead somewhere, and no path of one machine.

#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .expect("the workspace has a root")
}

/// Files under `folder` whose name ends with `.extension`, without build results and hidden folders.
fn files(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("the entry can be read").path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default()
            .to_owned();
        if path.is_dir() {
            if !name.starts_with('.') && name != "target" {
                files(&path, extension, found);
            }
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
}

/// The places that a Markdown text links to, without code blocks and code spans.
fn links(text: &str) -> Vec<String> {
    let mut links = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            continue;
        }
        if fenced {
            continue;
        }
        for (position, prose) in line.split('`').enumerate() {
            if position % 2 == 1 {
                continue; // inside a code span
            }
            let mut rest = prose;
            while let Some(start) = rest.find("](") {
                rest = &rest[start + 2..];
                if let Some(end) = rest.find(')') {
                    links.push(rest[..end].to_owned());
                    rest = &rest[end..];
                }
            }
        }
    }
    links
}

fn is_outside(link: &str) -> bool {
    link.contains("://") || link.starts_with("mailto:")
}

#[test]
fn links_are_found_outside_code() {
    let text = "[a](one.md) and ![b](two.svg#x) `[c](no.md)`\n```\n[d](no.md)\n```\n[e](https://example.org)";
    assert_eq!(links(text), ["one.md", "two.svg#x", "https://example.org"]);
}

#[test]
fn every_link_to_a_file_leads_somewhere() {
    let mut texts = Vec::new();
    files(&root(), "md", &mut texts);
    assert!(texts.iter().any(|path| path.ends_with("README.md")));
    let mut broken = Vec::new();
    for text in &texts {
        let folder = text.parent().expect("a file lies in a folder");
        for link in links(&std::fs::read_to_string(text).expect("the text can be read")) {
            let file = link.split('#').next().unwrap_or_default();
            if !file.is_empty() && !is_outside(&link) && !folder.join(file).exists() {
                broken.push(format!("{}: {link}", text.display()));
            }
        }
    }
    assert!(
        broken.is_empty(),
        "links that lead nowhere:\n{}",
        broken.join("\n")
    );
}

#[test]
fn the_summary_names_every_page_of_the_book() {
    let book = root().join("docs/src");
    let summary = std::fs::read_to_string(book.join("SUMMARY.md")).expect("the book has a summary");
    let named: Vec<PathBuf> = links(&summary).iter().map(|link| book.join(link)).collect();
    let mut pages = Vec::new();
    files(&book, "md", &mut pages);
    assert!(pages.len() > 1);
    for page in pages.iter().filter(|page| !page.ends_with("SUMMARY.md")) {
        assert!(
            named.contains(page),
            "{} is not in SUMMARY.md",
            page.display()
        );
    }
}

/// Where `line` names a folder that only some machine has, for instance the home of a person.
fn machine_path(line: &str) -> Option<&str> {
    ["work", "tmp", "root", "home", "Users"]
        .iter()
        .find_map(|folder| {
            line.match_indices(&format!("/{folder}/"))
                .find_map(|(start, matched)| {
                    let before = line[..start].chars().next_back();
                    let after = line[start + matched.len()..].chars().next();
                    let inside = before
                        .is_some_and(|before| before.is_alphanumeric() || "_.~-".contains(before));
                    (!inside && after.is_some_and(char::is_alphabetic)).then(|| &line[start..])
                })
        })
}

#[test]
fn paths_of_a_machine_are_recognised() {
    let folder = "home";
    assert!(machine_path(&format!("see /{folder}/someone/data.csv")).is_some());
    assert!(machine_path("see target/tmp/data.csv, /usr/lib/x and ../work/data").is_none());
}

#[test]
fn tracked_texts_name_no_path_of_a_machine() {
    let listing = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(root())
        .output();
    let Ok(listing) = listing
        .as_ref()
        .map(|output| String::from_utf8_lossy(&output.stdout))
    else {
        println!("skipped: there is no git here to list the tracked files");
        return;
    };
    if listing.is_empty() {
        println!("skipped: this copy of the sources is not a git repository");
        return;
    }
    let mut found = Vec::new();
    for name in listing.split('\0').filter(|name| !name.is_empty()) {
        // Files that are not text, or were just removed, hold no path to complain about.
        let Ok(text) = std::fs::read_to_string(root().join(name)) else {
            continue;
        };
        for (number, line) in text.lines().enumerate() {
            if let Some(path) = machine_path(line) {
                found.push(format!("{name}:{}: {path}", number + 1));
            }
        }
    }
    assert!(
        found.is_empty(),
        "paths of one machine:\n{}",
        found.join("\n")
    );
}

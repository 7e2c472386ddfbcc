//! Relative links in the papers lead somewhere, and their anchors to a heading.
//!
//! Reads inline links and images, `[text](target)`, and reference definitions, `[name]: target`,
//! outside code. Links to other hosts are not followed.

use std::collections::BTreeMap;
use std::path::Path;

use super::sources::{self, Source};

fn problems(papers: &[Source], exists: impl Fn(&str) -> bool) -> Vec<String> {
    let headings: BTreeMap<&str, Vec<String>> =
        papers.iter().map(|paper| (paper.path.as_str(), anchors(&paper.text))).collect();
    let mut problems = Vec::new();
    for paper in papers {
        for (line, target) in targets(&paper.text) {
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let Some(path) = resolve(&paper.path, file) else {
                problems.push(format!("{}:{line}: {target} leaves the project", paper.path));
                continue;
            };
            if !exists(&path) {
                problems.push(format!("{}:{line}: {target} does not exist", paper.path));
            } else if let Some(known) = headings.get(path.as_str())
                && !anchor.is_empty()
                && !known.iter().any(|heading| heading == anchor)
            {
                problems.push(format!("{}:{line}: {target} has no such heading", paper.path));
            }
        }
    }
    problems
}

/// The path of a link's file from the root; None above the root.
fn resolve(paper: &str, file: &str) -> Option<String> {
    if file.is_empty() {
        return Some(paper.to_owned());
    }
    let mut parts: Vec<&str> = match file.starts_with('/') {
        true => Vec::new(),
        false => paper.split('/').collect::<Vec<_>>().split_last()?.1.to_vec(),
    };
    for part in file.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            _ => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Targets of links with their lines, without those that name another host.
fn targets(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (line, prose) in prose_lines(text) {
        let inline = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let definition = (prose.trim_start().strip_prefix('['))
            .and_then(|rest| rest.split_once("]: "))
            .map(|(_, target)| target);
        for target in inline.chain(definition) {
            let target = target.split_whitespace().next().unwrap_or_default();
            let target = target.trim_start_matches('<').trim_end_matches('>');
            let is_foreign = target.contains("://") || target.starts_with("mailto:");
            if !is_foreign && !target.is_empty() {
                found.push((line, target.to_owned()));
            }
        }
    }
    found
}

/// The anchors of the headings, made as GitHub makes them.
fn anchors(text: &str) -> Vec<String> {
    let mut anchors: Vec<String> = Vec::new();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for heading in fenceless_lines(text).filter_map(|(_, line)| {
        let title = line.trim_start_matches('#');
        (title.len() < line.len() && title.starts_with(' ')).then_some(title.trim())
    }) {
        let anchor: String = (heading.to_lowercase().chars())
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect();
        let count = seen.entry(anchor.clone()).or_insert(0);
        anchors.push(if *count == 0 { anchor } else { format!("{anchor}-{count}") });
        *count += 1;
    }
    anchors
}

/// Lines outside code blocks, numbered, without their code spans.
fn prose_lines(text: &str) -> impl Iterator<Item = (usize, String)> {
    fenceless_lines(text).map(|(line, text)| {
        let outside = text.split('`').step_by(2);
        (line, outside.collect::<Vec<_>>().join("`"))
    })
}

fn fenceless_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut in_code = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let is_fence = line.trim_start().starts_with("```");
        in_code ^= is_fence;
        (!in_code && !is_fence).then_some((index + 1, line))
    })
}

fn is_paper(source: &Source) -> bool {
    Path::new(&source.path).extension().is_some_and(|extension| extension == "md")
}

#[test]
fn no_link_is_dead() {
    let root = sources::root();
    let papers: Vec<Source> = sources::all().into_iter().filter(is_paper).collect();
    super::assert_none("dead links", &problems(&papers, |path| root.join(path).exists()));
}

#[test]
fn dead_links_are_found() {
    let index = "\
# Index\n\
[good](guide.md) [here](#index) [up](../README.md#first-words) [far](https://example.com/x)\n\
![gone](picture.png) and `[code](nowhere.md)`\n\
```\n[block](nowhere.md)\n```\n\
[anchor](guide.md#nowhere) [second](guide.md#again-1) [out](../../x.md)\n\
[name]: missing.md\n";
    let papers = [
        Source::new("docs/README.md", index),
        Source::new("docs/guide.md", "# Again\n# Again\n"),
        Source::new("README.md", "## First, `words`!\n"),
    ];
    let found = problems(&papers, |path| papers.iter().any(|paper| paper.path == path));
    assert_eq!(
        found,
        [
            "docs/README.md:3: picture.png does not exist",
            "docs/README.md:7: guide.md#nowhere has no such heading",
            "docs/README.md:7: ../../x.md leaves the project",
            "docs/README.md:8: missing.md does not exist",
        ]
    );
}

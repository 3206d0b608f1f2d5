//! Holds the arrows between the crates of this workspace, and what every crate must say about itself.
//!
//! The drawing is in `DESIGN.md`; [`ARROWS`] is the same drawing as data, for the crates that exist and for those
//! that are planned, so that a new crate finds its place before it finds its dependencies.

#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;
use std::path::Path;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

/// Each library and the libraries of ours that it may depend on; no other arrow is allowed.
const ARROWS: [(&str, &[&str]); 9] = [
    ("evflex-solver", &[]),
    ("evflex-fleet", &[]),
    ("evflex-polytope", &["evflex-solver"]),
    ("evflex-network", &["evflex-solver"]),
    (
        "evflex-flexibility",
        &["evflex-polytope", "evflex-fleet", "evflex-solver"],
    ),
    (
        "evflex-icnn",
        &[
            "evflex-flexibility",
            "evflex-polytope",
            "evflex-fleet",
            "evflex-solver",
        ],
    ),
    (
        "evflex-v2g",
        &[
            "evflex-flexibility",
            "evflex-polytope",
            "evflex-network",
            "evflex-fleet",
            "evflex-solver",
        ],
    ),
    (
        "evflex-policy",
        &[
            "evflex-v2g",
            "evflex-flexibility",
            "evflex-fleet",
            "evflex-solver",
        ],
    ),
    (FACADE, &[]), // depends on every library: see `facade_holds_every_library`
];

/// The crate that re-exports all others.
const FACADE: &str = "evflex";

/// The only crate that may see burn, whose types and compile time stay inside it.
const SEES_BURN: &str = "evflex-icnn";

fn workspace() -> Metadata {
    MetadataCommand::new()
        .manifest_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
        .no_deps()
        .other_options(["--offline".to_owned()])
        .exec()
        .expect("cargo metadata answers for this workspace")
}

/// Libraries live under `crates/`; programs and benches beside it.
fn is_library(package: &Package) -> bool {
    package
        .manifest_path
        .components()
        .rev()
        .nth(2)
        .is_some_and(|folder| folder.as_str() == "crates")
}

fn allowed(name: &str, libraries: &BTreeSet<String>) -> Option<BTreeSet<String>> {
    if name == FACADE {
        return Some(
            libraries
                .iter()
                .filter(|library| *library != FACADE)
                .cloned()
                .collect(),
        );
    }
    let (_, down) = ARROWS.iter().find(|(library, _)| *library == name)?;
    Some(down.iter().map(|library| (*library).to_owned()).collect())
}

/// The faults of a workspace given as (name, is a library, dependencies); none when the drawing holds.
fn faults<'a>(
    packages: impl Iterator<Item = (&'a str, bool, Vec<(&'a str, DependencyKind)>)>,
) -> Vec<String> {
    let packages: Vec<_> = packages.collect();
    let ours: BTreeSet<String> = packages
        .iter()
        .map(|(name, ..)| (*name).to_owned())
        .collect();
    let libraries: BTreeSet<String> = packages
        .iter()
        .filter(|(_, library, _)| *library)
        .map(|(name, ..)| (*name).to_owned())
        .collect();
    let mut faults = Vec::new();
    for (name, library, dependencies) in &packages {
        let allowed = if *library {
            let Some(allowed) = allowed(name, &libraries) else {
                faults.push(format!(
                    "{name} has no place in the drawing: add its row to ARROWS and to DESIGN.md"
                ));
                continue;
            };
            allowed
        } else {
            libraries.clone() // programs and benches may use every library, never one another
        };
        for (dependency, kind) in dependencies {
            // Arrows of tests point down as well: an upward one makes the crates impossible to publish in order.
            if ours.contains(*dependency) && !allowed.contains(*dependency) {
                faults.push(format!(
                    "{name} -> {dependency} ({kind} dependency) is not an arrow of the drawing"
                ));
            }
            if (*dependency == "burn" || dependency.starts_with("burn-")) && *name != SEES_BURN {
                faults.push(format!(
                    "{name} -> {dependency}: only {SEES_BURN} may depend on burn"
                ));
            }
        }
        if *name == FACADE {
            for missing in allowed.iter().filter(|library| {
                !dependencies.iter().any(|(dependency, kind)| {
                    dependency == library && *kind == DependencyKind::Normal
                })
            }) {
                faults.push(format!("{FACADE} does not re-export {missing}"));
            }
        }
    }
    faults
}

fn faults_of(metadata: &Metadata) -> Vec<String> {
    faults(metadata.packages.iter().map(|package| {
        let dependencies = package
            .dependencies
            .iter()
            .map(|dependency| (dependency.name.as_str(), dependency.kind))
            .collect();
        (package.name.as_str(), is_library(package), dependencies)
    }))
}

#[test]
fn arrows_are_those_of_the_drawing() {
    let metadata = workspace();
    assert!(
        metadata
            .packages
            .iter()
            .filter(|package| is_library(package))
            .count()
            >= 4
    );
    let faults = faults_of(&metadata);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The drawing itself has no cycle: every row may only name crates that stand above it.
#[test]
fn drawing_points_down() {
    for (row, (name, down)) in ARROWS.iter().enumerate() {
        for library in *down {
            assert!(
                ARROWS[..row].iter().any(|(above, _)| above == library),
                "{name} -> {library} is not drawn downwards"
            );
        }
    }
}

/// The check refuses what it is there to refuse.
#[test]
fn other_arrows_are_refused() {
    use DependencyKind::{Build, Development, Normal};
    let house = |extra: (&'static str, &'static str, DependencyKind)| {
        let mut packages = vec![
            ("evflex-solver", true, vec![]),
            ("evflex-fleet", true, vec![("serde", Normal)]),
            (
                "evflex-flexibility",
                true,
                vec![("evflex-solver", Normal), ("evflex-fleet", Normal)],
            ),
            (
                FACADE,
                true,
                vec![
                    ("evflex-solver", Normal),
                    ("evflex-fleet", Normal),
                    ("evflex-flexibility", Normal),
                ],
            ),
            ("program", false, vec![(FACADE, Normal)]),
        ];
        let (from, to, kind) = extra;
        match packages.iter_mut().find(|(name, ..)| *name == from) {
            Some((_, _, dependencies)) => dependencies.push((to, kind)),
            None => packages.push((from, true, vec![(to, kind)])),
        }
        faults(packages.into_iter())
    };
    assert!(house(("evflex-flexibility", "csv", Normal)).is_empty());
    assert!(house(("program", "evflex-fleet", Development)).is_empty());
    let not_drawn = "not an arrow of the drawing";
    for (from, to, kind, reason) in [
        ("evflex-solver", "evflex-fleet", Normal, not_drawn),
        ("evflex-solver", "evflex-fleet", Build, not_drawn),
        ("evflex-fleet", "evflex-flexibility", Development, not_drawn),
        ("evflex-flexibility", "evflex", Normal, not_drawn),
        ("evflex-flexibility", "program", Normal, not_drawn),
        ("evflex-flexibility", "burn", Normal, "only evflex-icnn"),
        ("program", "burn-ndarray", Development, "only evflex-icnn"),
        (
            "evflex-garden",
            "serde",
            Normal,
            "has no place in the drawing",
        ),
        (
            "evflex-network",
            "evflex-solver",
            Normal,
            "does not re-export evflex-network",
        ),
    ] {
        let faults = house((from, to, kind));
        assert!(
            faults.iter().any(|fault| fault.contains(reason)),
            "{from} -> {to}: {faults:?}"
        );
    }
}

/// Text of the section `[name]` of a manifest.
fn section<'a>(manifest: &'a str, name: &str) -> Option<&'a str> {
    let header = format!("[{name}]\n");
    let start = if manifest.starts_with(&header) {
        0
    } else {
        manifest.find(&format!("\n{header}"))? + 1
    };
    let body = &manifest[start + header.len()..];
    Some(body.find("\n[").map_or(body, |end| &body[..end]))
}

#[test]
fn every_crate_says_what_it_is_and_keeps_the_lints() {
    for package in &workspace().packages {
        let name = package.name.as_str();
        let manifest =
            std::fs::read_to_string(&package.manifest_path).expect("the manifest can be read");
        assert!(
            package
                .description
                .as_deref()
                .is_some_and(|text| text.len() >= 20),
            "{name} has no description that says what it is"
        );
        assert_eq!(package.license.as_deref(), Some("MIT"), "licence of {name}");
        let lints = section(&manifest, "lints").unwrap_or_default();
        assert!(
            lints.lines().any(|line| line.trim() == "workspace = true"),
            "{name} lacks `[lints] workspace = true`"
        );
        let published = package
            .publish
            .as_ref()
            .is_none_or(|registries| !registries.is_empty());
        assert_eq!(
            published,
            is_library(package),
            "{name}: what is in crates/ is published, and nothing else (publish = false)"
        );
        if published {
            assert!(package.readme.is_some(), "{name} names no readme");
            assert!(
                (1..=5).contains(&package.keywords.len()),
                "{name} has no keywords, or more than five"
            );
        }
    }
}

#[test]
fn sections_of_a_manifest_are_found() {
    let manifest = "[package]\nname = \"a\"\n\n[lints]\nworkspace = true\n\n[features]\nx = []\n";
    assert_eq!(section(manifest, "lints"), Some("workspace = true\n"));
    assert_eq!(section(manifest, "features"), Some("x = []\n"));
    assert_eq!(section(manifest, "dependencies"), None);
}

//! What another version of aqlens made stays recorded as its own, or is made again.

use std::fs;

use aqlens::run_dir::made_by::THIS_VERSION;
use aqlens::run_dir::receipt::Receipt;
use aqlens::run_dir::record::{RunRecord, State};
use aqlens::store::{Store, read_sealed};

use crate::damage::Folder;
use crate::strangers::{reseal, soon};
use crate::support::Ended;
use crate::support::runs::finished;

const OTHER: &str = "0.0.9";

fn receipts(folder: &Folder) -> Vec<String> {
    Store::open(&folder.path("")).walk("receipts").unwrap()
}

/// A run that says that another version finished it; its receipts name that version, or none.
fn by_another_version(names_it: bool) -> Folder {
    let folder = Folder::copy();
    for name in receipts(&folder) {
        reseal(&folder.path(&name), |receipt| {
            assert_eq!(receipt["aqlens"], THIS_VERSION);
            receipt.as_object_mut().unwrap().remove("aqlens");
            if names_it {
                receipt["aqlens"] = OTHER.into();
            }
        });
    }
    reseal(&folder.path("run.json"), |record| {
        record["lineage"]["aqlens"] = OTHER.into();
        if names_it {
            record["judged_by"] = OTHER.into();
            let stages = record["made_by"][THIS_VERSION].take();
            record["made_by"] = serde_json::json!({ OTHER: stages });
        } else {
            // As a version wrote it that knew none of these fields.
            record.as_object_mut().unwrap().remove("judged_by");
            record.as_object_mut().unwrap().remove("made_by");
        }
    });
    folder
}

fn run(folder: &Folder, extra: &[&str]) -> Ended {
    let run = ["run", "pipeline.yml", "--run-dir", "run", "--log", "json"];
    let ended = soon(folder.dir.path(), &[&run, extra].concat());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    ended
}

fn record(folder: &Folder) -> RunRecord {
    RunRecord::read(&Store::open(&folder.path(""))).unwrap()
}

/// What the report's page calls the version.
fn shown(folder: &Folder) -> String {
    let page = fs::read_to_string(folder.path("report.html")).unwrap();
    let row = page.split("<th scope=\"row\">aqlens</th>").nth(1);
    let row = row.unwrap_or_else(|| page.split(">aqlens</").nth(1).unwrap());
    row.split("<td")
        .nth(1)
        .unwrap()
        .split('>')
        .nth(1)
        .unwrap()
        .split('<')
        .next()
        .unwrap()
        .to_owned()
}

#[test]
fn a_run_of_one_version_names_it() {
    let folder = Folder::copy();
    let record = record(&folder);
    assert_eq!(record.lineage.aqlens, THIS_VERSION);
    assert_eq!((record.made_by.words().as_str(), record.judge()), (THIS_VERSION, THIS_VERSION));
    assert_eq!(shown(&folder), THIS_VERSION);
}

#[test]
fn a_finished_run_of_another_version_that_needs_nothing_keeps_its_maker() {
    for names_it in [true, false] {
        let folder = by_another_version(names_it);
        // Its own report names it; this run's fingerprint is that of such a report.
        let mut ended = run(&folder, &[]);
        let done = finished(&ended.stderr);
        assert!(done.is_empty() || done == ["report:null"], "{done:?}");
        if done.is_empty() {
            assert!(ended.stderr.contains(OTHER), "{}", ended.stderr);
        }
        // Whatever was made of it, the numbers stay the other version's.
        for _ in 0..2 {
            let record = record(&folder);
            assert!(record.lineage.aqlens.starts_with(OTHER), "{}", record.lineage.aqlens);
            assert_eq!(record.state, State::Finished);
            ended = run(&folder, &[]);
            assert!(finished(&ended.stderr).is_empty(), "{}", ended.stderr);
            assert!(ended.stderr.contains("nothing to do"), "{}", ended.stderr);
            assert!(ended.stderr.contains(&format!("(aqlens {OTHER}")), "{}", ended.stderr);
        }
        assert_eq!(shown(&folder), OTHER);
        let verified = soon(folder.dir.path(), &["verify", "run"]);
        assert_eq!(verified.code, 0, "{}", verified.stdout);
        assert!(!verified.stdout.contains("not checked"), "{}", verified.stdout);
    }
}

#[test]
fn what_this_version_makes_again_is_named_beside_what_the_other_made() {
    for names_it in [true, false] {
        let folder = by_another_version(names_it);
        fs::remove_file(folder.path("receipts/similarity/part-00001.json")).unwrap();
        let ended = run(&folder, &[]);
        assert!(finished(&ended.stderr).contains(&"similarity:1".to_owned()), "{}", ended.stderr);
        assert!(!finished(&ended.stderr).contains(&"extract:1".to_owned()), "{}", ended.stderr);
        let note = format!("aqlens {OTHER} made what the run directory holds, and this is");
        assert!(ended.stderr.contains(&note), "{}", ended.stderr);
        assert!(!ended.stderr.contains("earlier state"), "{}", ended.stderr);
        let words = format!("{OTHER}; similarity by {THIS_VERSION}");
        assert_eq!(shown(&folder), words);
        let with_report = format!("{OTHER}; report, similarity by {THIS_VERSION}");
        assert_eq!(record(&folder).lineage.aqlens, with_report);
        assert_eq!(record(&folder).made_by.words(), with_report);
        assert!(finished(&run(&folder, &[]).stderr).is_empty());
        assert_eq!(record(&folder).lineage.aqlens, with_report, "recognising it changes nothing");
        let verified = soon(folder.dir.path(), &["verify", "run"]);
        assert_eq!(verified.code, 0, "{}", verified.stdout);
        let name = folder.path("receipts/similarity/part-00001.json");
        let receipt: Receipt = read_sealed(&fs::read(name).unwrap()).unwrap();
        assert_eq!(receipt.aqlens.as_deref(), Some(THIS_VERSION));
    }
}

#[test]
fn a_killed_run_does_not_forget_who_made_the_receipts_that_name_nobody() {
    let folder = by_another_version(false);
    fs::remove_file(folder.path("receipts/similarity/part-00001.json")).unwrap();
    // As if this version had been killed after its first record.
    reseal(&folder.path("run.json"), |record| {
        record["state"] = "running".into();
        record["lineage"]["aqlens"] = THIS_VERSION.into();
        record["judged_by"] = THIS_VERSION.into();
        record["unnamed_by"] = OTHER.into();
    });
    run(&folder, &[]);
    let words = format!("{OTHER}; report, similarity by {THIS_VERSION}");
    assert_eq!(record(&folder).lineage.aqlens, words);
}

#[test]
fn what_another_version_makes_in_another_way_is_made_again_and_is_this_versions_then() {
    let folder = by_another_version(true);
    // An older version of that stage gives another fingerprint.
    for name in receipts(&folder).iter().filter(|name| name.contains("/tokens/")) {
        reseal(&folder.path(name), |receipt| {
            receipt["version"] = 0.into();
            receipt["fingerprint"] = "0".repeat(64).into();
        });
    }
    let done = finished(&run(&folder, &[]).stderr);
    for part in 0..3 {
        assert!(done.contains(&format!("tokens:{part}")), "{done:?}");
    }
    assert!(!done.iter().any(|done| done.starts_with("extract")), "{done:?}");
    let version = record(&folder).lineage.aqlens;
    assert!(version.contains(&format!("tokens by {THIS_VERSION}")), "{version}");
}

//! Tests of what a run directory does.

use super::*;

#[test]
fn a_file_appears_only_when_it_is_committed() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path()).unwrap();
    let mut file = store.begin("tables/t/part.bin").unwrap();
    file.write_all(b"abc").unwrap();
    assert!(!store.exists("tables/t/part.bin"));
    let stats = file.commit().unwrap();
    assert_eq!(store.read("tables/t/part.bin").unwrap(), b"abc");
    assert_eq!(stats.bytes, 3);
    assert_eq!(stats.sha256, hex_sha256(b"abc"));
}

#[test]
fn files_that_are_to_last_later_are_there_at_once_and_synced_when_they_are_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path()).unwrap();
    later::SYNCED.take();
    store.write_later("receipts/a/x", b"x").unwrap();
    let stats = store.write_later("tables/b/y", b"yy").unwrap();
    assert_eq!((stats.bytes, store.read("tables/b/y").unwrap()), (2, b"yy".to_vec()));
    assert!(later::SYNCED.take().is_empty());
    store.sync(|name| name.starts_with("tables/")).unwrap();
    assert_eq!(later::SYNCED.take(), [dir.path().join("tables/b")]);
    store.sync(|_| true).unwrap();
    assert_eq!(later::SYNCED.take(), [dir.path().join("receipts/a")], "the other one is left");
    store.sync(|_| true).unwrap();
    assert!(later::SYNCED.take().is_empty(), "nothing is left");
}

#[test]
fn many_files_are_removed_and_their_folders_synced_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path()).unwrap();
    let names: Vec<String> = (0..40).map(|i| format!("tables/t/{i}")).collect();
    for name in &names {
        store.write_later(name, b"x").unwrap();
    }
    store.sync(|name| name != "tables/t/7").unwrap();
    assert_eq!(store.unsynced(), ["tables/t/7"]);
    later::SYNCED.take();
    store.remove_all(names.iter().map(String::as_str).chain(["tables/t/never-there"])).unwrap();
    assert!(store.list("tables/t").unwrap().is_empty());
    assert_eq!(later::SYNCED.take(), [dir.path().join("tables/t")]);
    assert!(store.unsynced().is_empty(), "what is gone need not be put on the disk");
}

#[test]
fn empty_folders_go_and_a_file_on_its_way_into_one_still_arrives() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path()).unwrap();
    store.write("tables/a/layer=1/part", b"x").unwrap();
    let mut late = store.begin("tables/a/layer=2/part").unwrap();
    store.begin("tables/b/layer=1/part").unwrap();
    store.remove_empty_folders("tables/a").unwrap();
    store.remove_empty_folders("tables/b").unwrap();
    store.remove_empty_folders("tables/never-there").unwrap();
    assert!(store.exists("tables/a/layer=1/part"));
    assert!(!store.exists("tables/a/layer=2") && !store.exists("tables/b"));
    late.write_all(b"late").unwrap();
    late.commit().unwrap();
    assert_eq!(store.read("tables/a/layer=2/part").unwrap(), b"late");
}

#[test]
fn a_dropped_file_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path()).unwrap();
    let mut file = store.begin("x").unwrap();
    file.write_all(b"abc").unwrap();
    drop(file);
    assert!(!store.exists("x"));
    assert!(store.list(PENDING).unwrap().is_empty());
}

#[test]
fn a_removal_is_on_the_disk_when_it_returns() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path()).unwrap();
    store.write("receipts/extract/part-00000.json", b"{}").unwrap();
    later::SYNCED.take();
    store.remove("receipts/extract/part-00000.json").unwrap();
    assert!(!store.exists("receipts/extract/part-00000.json"));
    assert_eq!(later::SYNCED.take(), [dir.path().join("receipts/extract")]);
    store.remove("receipts/extract/part-00000.json").unwrap();
    assert!(later::SYNCED.take().is_empty(), "nothing was removed");
}

#[test]
fn a_second_holder_is_told_who_has_the_lock() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path()).unwrap();
    let _held = store.lock().unwrap();
    let message = store.lock().unwrap_err().to_string();
    assert!(message.contains(&format!("process {}", std::process::id())), "{message}");
}

#[test]
fn taking_the_lock_clears_what_a_killed_process_left() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path()).unwrap();
    let file = store.begin("x").unwrap();
    file.leak_for_test();
    assert_eq!(store.list(PENDING).unwrap().len(), 1);
    fs::create_dir(dir.path().join(PENDING).join("somebodys")).unwrap();
    let _held = store.lock().unwrap();
    assert_eq!(store.list(PENDING).unwrap(), ["somebodys"], "a folder is no file of ours");
}

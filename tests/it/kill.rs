//! Killed anywhere, a run leaves no half-written file under a final name, and the next run ends
//! with the very tables of an undisturbed one.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use aqlens::table::schema::ALL;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use rstest::rstest;

use crate::support::runs::{finished, tables};
use crate::support::{aqlens, aqlens_in, file};

/// How many running processes are killed.
const KILLS: usize = 50;

#[rstest]
#[case::retained("retain=[activations, attention, logits]")]
#[case::released("retain=[]")]
fn runs_killed_at_random_moments_end_as_an_undisturbed_one(#[case] retain: &str) {
    let pipeline = file("tests/fixtures/tiny.yml");
    let args = ["run", pipeline.to_str().unwrap(), "--set", "shard_inputs=2", "--threads", "1"];
    let args = [&args[..], &["--set", retain]].concat();
    let whole = tempfile::tempdir().unwrap();
    assert_eq!(aqlens(whole.path(), &args).code, 0);
    let undisturbed = shortest_run(&args);
    let expected = tables(&whole.path().join("runs/tiny"));

    let mut moments = Moments(37);
    let (mut kills, mut folders) = (0, 0);
    while kills < KILLS {
        // Killed again and again until it ends by itself; the next folder then begins anew.
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("runs/tiny");
        folders += 1;
        assert!(folders <= 2 * KILLS, "the kills come too late to test anything: {kills}");
        loop {
            let mut child = aqlens_in(folder.path())
                .args(&args)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            // Resumed runs are shorter: such moments reach their end too.
            std::thread::sleep(undisturbed.mul_f64(0.7 * moments.next()));
            let ended = child.try_wait().unwrap();
            let _ended_before = child.kill();
            child.wait().unwrap();
            if run.is_dir() {
                every_table_file_is_whole(&run);
            }
            if let Some(status) = ended {
                assert!(status.success(), "{status}");
                break;
            }
            kills += 1;
        }
        let ours = tables(&run);
        assert_eq!(ours.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        for (name, bytes) in &ours {
            assert_eq!(bytes, &expected[name], "{name} differs from the undisturbed run's");
        }
    }
}

/// The shortest of a few runs from nothing: others may have been held up by the machine.
fn shortest_run(args: &[&str]) -> Duration {
    let run = || {
        let folder = tempfile::tempdir().unwrap();
        let started = Instant::now();
        assert_eq!(aqlens(folder.path(), args).code, 0);
        started.elapsed()
    };
    (0..3).map(|_| run()).min().unwrap()
}

/// A scheduler asks first: the run ends soon where nothing is half done, and says how to go on.
#[cfg(unix)]
#[test]
fn a_run_asked_to_stop_ends_with_130_and_goes_on_from_there() {
    let pipeline = file("tests/fixtures/tiny.yml");
    let args = ["run", pipeline.to_str().unwrap(), "--set", "shard_inputs=1", "--log", "json"];
    let (folder, whole) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    assert_eq!(aqlens(whole.path(), &args).code, 0);

    let mut command = aqlens_in(folder.path());
    command.args(args).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    lines.find(|line| line.contains(r#""event":"finished""#)).unwrap();
    let asked = Instant::now();
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let last = lines.last().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(asked.elapsed() < Duration::from_secs(10));
    assert!(last.contains(r#""exit_code":130"#) && last.contains("same command"), "{last}");

    let [ours, theirs] = [&folder, &whole].map(|folder| folder.path().join("runs/tiny"));
    every_table_file_is_whole(&ours);
    let stages = finished(&aqlens(folder.path(), &args).stderr);
    assert!(!stages.contains(&"extract:0".to_owned()), "what was done stays done: {stages:?}");
    assert!(tables(&ours) == tables(&theirs), "the tables differ from the undisturbed run's");
}

/// Seeded numbers in 0..1 (`SplitMix64`).
struct Moments(u64);

impl Moments {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

fn every_table_file_is_whole(run: &std::path::Path) {
    let store = aqlens::store::Store::open(run);
    for table in ALL {
        for name in aqlens::table::preview::files(&store, table).unwrap() {
            let reader = SerializedFileReader::new(File::open(store.path(&name)).unwrap());
            let reader = reader.unwrap_or_else(|e| panic!("{name} is half-written: {e}"));
            for group in 0..reader.num_row_groups() {
                let group = reader.get_row_group(group).unwrap();
                let rows = group.get_row_iter(None).unwrap();
                assert!(rows.map(Result::unwrap).count() > 0, "{name}");
            }
        }
    }
    for name in ["run.json", "summary.json"] {
        if let Ok(bytes) = store.read(name) {
            serde_json::from_slice::<serde_json::Value>(&bytes).unwrap();
        }
    }
}

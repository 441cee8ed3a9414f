use std::io::Write as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{pairs, problem, read_all, texts, wanted};

const LINES: &[u8] = b"{\"id\": 1, \"text\": \"one\"}\n{\"id\": 2, \"text\": \"two\"}\n";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

#[test]
fn packed_files_are_read_in_any_number_of_pieces() {
    let expected = pairs(&[("1", "one"), ("2", "two")]);
    for ending in [".jsonl", ".JSONL", ".ndjson"] {
        assert_eq!(texts(ending, LINES).unwrap(), expected);
    }
    assert_eq!(texts(".jsonl.gz", &gzip(LINES)).unwrap(), expected);
    assert_eq!(texts(".NDJSON.ZST", &zstd(LINES)).unwrap(), expected);
    let (a, b) = LINES.split_at(20);
    assert_eq!(texts(".jsonl.gz", &[gzip(a), gzip(b)].concat()).unwrap(), expected);
    assert_eq!(texts(".jsonl.zst", &[zstd(a), zstd(b)].concat()).unwrap(), expected);
    let csv = "\u{feff}id,text\n1,one\n2,two\n".as_bytes();
    assert_eq!(texts(".Csv.Gz", &gzip(csv)).unwrap(), expected);
    assert_eq!(texts(".tsv.zst", &zstd(b"id\ttext\n1\tone\n2\ttwo\n")).unwrap(), expected);
}

#[test]
fn a_packed_file_that_is_cut_or_damaged_is_named_so() {
    let long: Vec<u8> = (0..3_000)
        .flat_map(|i| format!("{{\"id\": {i}, \"text\": \"t{}\"}}\n", i * 7919).into_bytes())
        .collect();
    for (ending, whole, kind) in
        [(".jsonl.gz", gzip(&long), "gzip"), (".jsonl.zst", zstd(&long), "zstd")]
    {
        for n in [1, 7, 100, whole.len() / 2, whole.len() - 1] {
            let problems = texts(ending, &whole[..n]).unwrap_err();
            assert!(
                problems[0].contains(&format!("its {kind} data is damaged")),
                "{n}: {problems:?}"
            );
        }
        let mut changed = whole.clone();
        changed[whole.len() / 2] ^= 0x55;
        assert!(texts(ending, &changed).is_err());
        let problems = texts(ending, &[whole, b"more".to_vec()].concat()).unwrap_err();
        assert!(problems[0].contains(&format!("its {kind} data is damaged")), "{problems:?}");
        let (message, help) = problem(ending, LINES);
        assert!(message.contains(&format!("not {kind} at all")), "{message}");
        assert!(help.contains(&format!("`{kind} -t`")), "{help}");
    }
}

#[test]
fn a_packed_file_unpacks_to_lines_of_bounded_length() {
    let zeros = |n: usize| vec![b'x'; n];
    let bomb = [b"{\"id\": 1, \"text\": \"".to_vec(), zeros(65 << 20)].concat();
    let (message, _) = problem(".jsonl.zst", &zstd(&bomb));
    assert_eq!(message, "FILE: line 1 is longer than 64 MiB");
    let (message, _) =
        problem(".csv.zst", &zstd(&[b"id,text\na,".to_vec(), zeros(65 << 20)].concat()));
    assert_eq!(message, "FILE: row 1 (line 2) is longer than 64 MiB");
    let open = [b"id,text\na,\"".to_vec(), zeros(65 << 20)].concat();
    let (message, _) = problem(".csv.zst", &zstd(&open));
    let expected =
        "FILE: row 1 (line 2) is longer than 64 MiB, as a double quote in it is not closed";
    assert_eq!(message, expected);
    let blanks = [vec![b' '; (1 << 20) - 1], vec![b'\n']].concat().repeat(65);
    let (message, _) = problem(".jsonl.zst", &zstd(&blanks));
    assert!(message.contains("of empty lines stand before line"), "{message}");
}

#[test]
fn a_file_that_is_something_else_is_named_by_its_first_bytes() {
    let csv = "id,text\na,one\n";
    let utf_16 =
        |order: fn(u16) -> [u8; 2]| csv.encode_utf16().flat_map(order).collect::<Vec<u8>>();
    let marked = |mark: &[u8], bytes: Vec<u8>| [mark.to_vec(), bytes].concat();
    let cases: [(Vec<u8>, &str, &str); 9] = [
        (
            marked(b"\xff\xfe", utf_16(u16::to_le_bytes)),
            "UTF-16 by its mark (FF FE)",
            "iconv -f UTF-16 -t",
        ),
        (
            marked(b"\xfe\xff", utf_16(u16::to_be_bytes)),
            "UTF-16 by its mark (FE FF)",
            "iconv -f UTF-16 -t",
        ),
        (utf_16(u16::to_le_bytes), "UTF-16 without a mark, as it looks", "iconv -f UTF-16LE"),
        (gzip(csv.as_bytes()), "gzip-compressed", ".gz"),
        (zstd(csv.as_bytes()), "zstd-compressed", ".zst"),
        (b"BZh91AY&SY\x01\x02".to_vec(), "bzip2-compressed", "bunzip2"),
        (b"PK\x03\x04\x14\0".to_vec(), "a ZIP archive, as Excel's workbooks are too", "CSV UTF-8"),
        (b"\xfd7zXZ\0\0".to_vec(), "xz-compressed", "unxz"),
        (b"PAR1\x15\x00".to_vec(), "a Parquet file", ".parquet"),
    ];
    for (bytes, what, advice) in cases {
        for ending in [".csv", ".jsonl", ".tsv"] {
            let (message, help) = problem(ending, &bytes);
            assert_eq!(message, format!("FILE: it is {what}"));
            assert!(help.contains(advice), "{help}");
        }
    }
    let (message, _) = problem(".csv.gz", &gzip(&gzip(csv.as_bytes())));
    assert_eq!(message, "FILE: it is gzip-compressed");
}

#[test]
fn text_in_windows_1252_is_not_called_latin1() {
    let csv = b"id,text\r\na,A ball costs 5 \x80 \x96 \x93red\x94\r\n";
    let (message, help) = problem(".csv", csv);
    let expected = "FILE, row 1 (line 2): `text` is not UTF-8 and looks like windows-1252: byte 0x80 would \
                    be in \"l costs 5 € – “red”\"";
    assert_eq!(message, expected);
    assert!(help.contains("iconv -f WINDOWS-1252 -t UTF-8") && !help.contains("latin"), "{help}");
    let (message, _) = problem(".csv", b"id,caf\xe9\na,one\n");
    assert!(message.starts_with("FILE: its first line is not UTF-8 and looks like"), "{message}");
}

#[test]
fn a_pointer_of_git_lfs_is_named() {
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
    for ending in [".jsonl", ".csv", ".parquet", ".csv.gz", ".jsonl.zst"] {
        let (message, help) = problem(ending, pointer);
        assert_eq!(
            message,
            "FILE: it is a Git LFS pointer, and the file itself of 12345 bytes is not here"
        );
        assert!(help.contains("git lfs pull"), "{help}");
    }
}

#[test]
fn an_empty_file_is_named_so() {
    for ending in [".csv", ".jsonl", ".parquet", ".csv.gz", ".jsonl.zst"] {
        assert_eq!(problem(ending, b"").0, "FILE: it is empty");
    }
    assert_eq!(problem(".jsonl.gz", &gzip(b"")).0, "FILE: it is empty");
    assert_eq!(problem(".jsonl", b"\n\n").0, "FILE has no rows");
    assert_eq!(problem(".csv", b"\r\n\n").0, "FILE: it holds nothing but empty lines");
}

fn message_of(path: &Path) -> (String, String) {
    let mut problems = read_all(&wanted(&[path], "id")).unwrap_err();
    assert_eq!(problems.len(), 1);
    (problems[0].message.clone(), problems.remove(0).help)
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_refused_at_once_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let pipe = at("pipe.jsonl");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    assert!(message_of(&pipe).0.ends_with("pipe.jsonl is a pipe"));
    let _socket = std::os::unix::net::UnixListener::bind(at("socket.csv")).unwrap();
    assert!(message_of(&at("socket.csv")).0.ends_with("socket.csv is a socket"));
    std::os::unix::fs::symlink("/dev/zero", at("device.jsonl")).unwrap();
    assert!(message_of(&at("device.jsonl")).0.ends_with("device.jsonl is a device"));
    std::fs::create_dir(at("folder.csv")).unwrap();
    let (message, help) = message_of(&at("folder.csv"));
    assert!(message.ends_with("folder.csv is a folder"), "{message}");
    assert!(help.contains("data/*.jsonl"), "{help}");
    std::os::unix::fs::symlink("gone.csv", at("link.csv")).unwrap();
    assert!(
        message_of(&at("link.csv"))
            .0
            .ends_with("link.csv is a link to gone.csv, which is not there")
    );
    assert!(message_of(&at("no/a.csv")).0.ends_with("a.csv: its folder is not there"));
}

#[test]
fn a_missing_file_suggests_the_one_that_is_there() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["inputs.jsonl", "scenes.csv.gz"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
    }
    let help = |name: &str| message_of(&folder.path().join(name)).1;
    assert_eq!(help("input.jsonl"), "did you mean `inputs.jsonl`?");
    assert_eq!(help("scenes.parquet"), "did you mean `scenes.csv.gz`?");
    assert!(help("other.csv").starts_with("paths are relative"));
}

#[test]
fn other_endings_are_refused_with_what_to_do() {
    for (ending, advice) in [
        (".json", "jq -c"),
        (".csv.bz2", "unpack it"),
        (".xlsx", "CSV UTF-8"),
        (".parquet.gz", "unpack it"),
        (".txt", ".jsonl"),
        (".zip", "unpack it"),
    ] {
        let (message, help) = problem(ending, b"x");
        assert!(message.contains("must end in .jsonl, .ndjson, .csv, .tsv"), "{message}");
        assert!(help.contains(advice), "{ending}: {help}");
    }
}

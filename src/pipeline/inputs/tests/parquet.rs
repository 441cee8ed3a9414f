use std::fs::File;
use std::sync::Arc;

use arrow_array::types::Int8Type;
use arrow_array::{
    ArrayRef, BinaryArray, DictionaryArray, Float64Array, Int16Array, Int64Array, LargeStringArray,
    RecordBatch, StringArray, StringViewArray, UInt8Array, UInt16Array, UInt64Array,
};
use parquet::arrow::ArrowWriter;
use parquet::basic::{BrotliLevel, Compression, Encoding, GzipLevel, ZstdLevel};
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder, WriterVersion};
use tempfile::NamedTempFile;

use super::{Texts, file, pairs, read, texts};

fn written(id: ArrayRef, text: ArrayRef, properties: WriterPropertiesBuilder) -> Vec<u8> {
    let other: ArrayRef = Arc::new(Int16Array::from_iter_values((0..).take(id.len())));
    let columns = [("text", text), ("other", other), ("id", id)];
    let batch = RecordBatch::try_from_iter_with_nullable(columns.map(|(n, c)| (n, c, true)));
    let batch = batch.unwrap();
    // Several row groups.
    let properties = properties.set_max_row_group_row_count(Some(700)).build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn parquet(id: ArrayRef, text: ArrayRef, compression: Compression) -> NamedTempFile {
    let properties = WriterProperties::builder().set_compression(compression);
    file(".parquet", &written(id, text, properties))
}

#[test]
fn parquet_ids_may_be_integers_of_any_width_and_texts_may_be_of_any_arrow_kind() {
    let n = 3_000;
    let expected: Texts = (0..n).map(|i| ((i % 250).to_string(), format!(" {i} "))).collect();
    let words: Vec<&str> = expected.iter().map(|(_, text)| text.as_str()).collect();
    let texts: [ArrayRef; 4] = [
        Arc::new(StringArray::from(words.clone())),
        Arc::new(LargeStringArray::from(words.clone())),
        Arc::new(StringViewArray::from(words.clone())),
        Arc::new(StringArray::from(words.clone())),
    ];
    let compressions = [
        Compression::SNAPPY,
        Compression::ZSTD(ZstdLevel::default()),
        Compression::GZIP(GzipLevel::default()),
        Compression::BROTLI(BrotliLevel::default()),
    ];
    for (text, compression) in texts.into_iter().zip(compressions) {
        let ids: ArrayRef = Arc::new(UInt64Array::from_iter_values(0..n));
        let all = read(&parquet(ids, text, compression)).unwrap();
        assert!(all.iter().zip(&expected).all(|(a, b)| a.1 == b.1), "{compression:?}");
        assert_eq!((all.len(), all[2999].0.as_str()), (3000, "2999"));
    }
    let small = |ids: ArrayRef| {
        let text: ArrayRef = Arc::new(DictionaryArray::<Int8Type>::from_iter(["b", "a", "b"]));
        read(&parquet(ids, text, Compression::UNCOMPRESSED)).unwrap()
    };
    let expected = pairs(&[("3", "b"), ("1", "a"), ("2", "b")]);
    assert_eq!(small(Arc::new(UInt8Array::from(vec![3, 1, 2]))), expected);
    assert_eq!(small(Arc::new(UInt16Array::from(vec![3, 1, 2]))), expected);
    assert_eq!(small(Arc::new(Int64Array::from(vec![3, 1, 2]))), expected);
    assert_eq!(small(Arc::new(DictionaryArray::<Int8Type>::from_iter(["3", "1", "2"]))), expected);
}

#[test]
fn wrong_parquet_columns_and_rows_are_named() {
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![3, 3]));
    let problems = |text: ArrayRef| {
        let problems = read(&parquet(Arc::clone(&ids), text, Compression::SNAPPY)).unwrap_err();
        problems.into_iter().map(|(message, _)| message).collect::<Vec<_>>()
    };
    assert_eq!(
        problems(Arc::new(StringArray::from(vec![Some("c"), None]))),
        ["FILE, row 2: `text` is null", "FILE, row 2: the id \"3\" is already that of row 1"]
    );
    let problems = problems(Arc::new(Float64Array::from(vec![1.0, 2.0])));
    assert_eq!(problems, ["FILE: column `text` must be text, and holds Float64"]);
    assert_eq!(
        texts(".parquet", b"PAR1 no").unwrap_err(),
        ["FILE: its end is missing: it is cut off, or still being written"]
    );
    assert_eq!(
        texts(".parquet", b"id,text\na,one\n").unwrap_err(),
        ["FILE: it is not a Parquet file: that begins with PAR1"]
    );
}

#[test]
fn floating_point_ids_are_whole_numbers_or_named() {
    let text = || -> ArrayRef { Arc::new(StringArray::from(vec!["a", "b", "c"])) };
    let with = |ids: Vec<Option<f64>>| {
        read(&parquet(Arc::new(Float64Array::from(ids)), text(), Compression::SNAPPY))
    };
    let all = with(vec![Some(3.0), Some(-1.0), Some(9_007_199_254_740_992.0)]).unwrap();
    assert_eq!(all, pairs(&[("3", "a"), ("-1", "b"), ("9007199254740992", "c")]));
    let problems = with(vec![Some(1.5), Some(f64::NAN), None]).unwrap_err();
    let expected = [
        "FILE, row 1: `id` must be text or a whole number, found \"1.5\"",
        "FILE, row 2: `id` is NaN, no number",
        "FILE, row 3: `id` is null",
    ];
    assert_eq!(problems.into_iter().map(|(message, _)| message).collect::<Vec<_>>(), expected);
}

#[test]
fn bytes_are_no_text() {
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let text: ArrayRef = Arc::new(BinaryArray::from(vec![&b"x"[..]]));
    let problems = read(&parquet(ids, text, Compression::SNAPPY)).unwrap_err();
    let expected = "FILE: column `text` must be text, and holds bytes without the mark of text";
    assert_eq!(problems[0].0, expected);
}

fn any_texts(n: usize) -> (ArrayRef, ArrayRef, Texts) {
    let expected: Texts =
        (0..n).map(|i| (format!("id{i}"), format!("{i} {}", "x".repeat(i % 50)))).collect();
    let ids = expected.iter().map(|(id, _)| id.as_str());
    let words = expected.iter().map(|(_, text)| text.as_str());
    let (ids, words) = (StringArray::from_iter_values(ids), StringArray::from_iter_values(words));
    (Arc::new(ids), Arc::new(words), expected)
}

#[test]
fn every_encoding_of_text_is_read() {
    let (ids, words, expected) = any_texts(1_500);
    let encodings =
        [Encoding::PLAIN, Encoding::DELTA_LENGTH_BYTE_ARRAY, Encoding::DELTA_BYTE_ARRAY];
    for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
        for encoding in encodings {
            let properties = WriterProperties::builder()
                .set_writer_version(version)
                .set_dictionary_enabled(false)
                .set_encoding(encoding)
                .set_column_encoding("other".into(), Encoding::PLAIN)
                .set_compression(Compression::GZIP(GzipLevel::default()));
            let bytes = written(Arc::clone(&ids), Arc::clone(&words), properties);
            assert_eq!(read(&file(".parquet", &bytes)).unwrap(), expected, "{encoding:?}");
        }
    }
}

#[test]
fn pages_of_nothing_but_nulls_are_read() {
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let codecs =
        [Compression::BROTLI(BrotliLevel::default()), Compression::GZIP(GzipLevel::default())];
    for compression in codecs {
        let properties = WriterProperties::builder()
            .set_compression(compression)
            .set_writer_version(WriterVersion::PARQUET_2_0);
        let text: ArrayRef = Arc::new(StringArray::from(vec![None::<&str>, None]));
        let problems = texts(".parquet", &written(Arc::clone(&ids), text, properties)).unwrap_err();
        assert_eq!(problems, ["FILE, row 1: `text` is null", "FILE, row 2: `text` is null"]);
    }
}

#[test]
fn a_text_beyond_all_measure_is_refused_before_it_is_unpacked() {
    let ids = || -> ArrayRef { Arc::new(StringArray::from(vec!["a"])) };
    let long = "\0".repeat(257 << 20);
    let text: ArrayRef = Arc::new(StringArray::from(vec![long.as_str()]));
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_statistics_enabled(parquet::file::properties::EnabledStatistics::None)
        .set_dictionary_enabled(false);
    let bytes = written(ids(), text, properties);
    assert!(bytes.len() < 1 << 20);
    let problems = texts(".parquet", &bytes).unwrap_err();
    let expected = "FILE: row 1: `text` is 257 MiB long, and at most 64 MiB are read";
    assert_eq!(problems, [expected]);
    let text: ArrayRef = Arc::new(StringArray::from(vec![&long[..=(64 << 20)]]));
    let problems = read(&parquet(ids(), text, Compression::SNAPPY)).unwrap_err();
    let expected = "FILE, row 1: `text` is 64 MiB long, and at most 64 MiB are read";
    assert_eq!(problems[0].0, expected);
}

#[test]
fn a_page_that_unpacks_to_more_than_it_says_is_refused() {
    for compression in
        [Compression::BROTLI(BrotliLevel::default()), Compression::GZIP(GzipLevel::default())]
    {
        let ids: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
        let text: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(1_000_000).as_str()]));
        let properties = WriterProperties::builder()
            .set_compression(compression)
            .set_statistics_enabled(parquet::file::properties::EnabledStatistics::None)
            .set_dictionary_enabled(false);
        let mut bytes = written(ids, text, properties);
        // The first column is `text`; its page's header is: type, unpacked size, each a field of a byte
        // and a number. 1,000,004 bytes and the levels in front are a number of three bytes.
        assert_eq!((&bytes[4..7], bytes[10] >> 4), (&[0x15, 0, 0x15][..], 1));
        bytes[7..10].copy_from_slice(&[0x80 | 0x20, 0x80, 0]);
        let problems = texts(".parquet", &bytes).unwrap_err();
        let expected = "column `text`: a page unpacks to another size than its header says";
        assert_eq!(problems, [format!("FILE: it cannot be read as Parquet: {expected}")]);
    }
}

#[test]
fn a_damaged_file_is_an_error_or_the_same_texts() {
    let (ids, words, _) = any_texts(60);
    let compressions = [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::BROTLI(BrotliLevel::default()),
    ];
    let mut seed = 37_u64;
    let mut draw = |most: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % most
    };
    let mut refused = 0;
    for (i, compression) in compressions.into_iter().cycle().take(240).enumerate() {
        let version =
            if i % 2 == 0 { WriterVersion::PARQUET_1_0 } else { WriterVersion::PARQUET_2_0 };
        let properties = WriterProperties::builder()
            .set_compression(compression)
            .set_writer_version(version)
            .set_dictionary_enabled(i % 4 < 2);
        let mut bytes = written(Arc::clone(&ids), Arc::clone(&words), properties);
        for _ in 0..=draw(3) {
            let at = draw(bytes.len());
            bytes[at] = draw(256) as u8;
        }
        if i % 8 == 0 {
            let n = draw(bytes.len());
            bytes.remove(n);
        }
        refused += usize::from(read(&file(".parquet", &bytes)).is_err());
    }
    assert!(refused > 60, "{refused}");
}

#[test]
fn a_list_of_lengths_that_claims_any_number_is_refused() {
    let (ids, words, _) = any_texts(60);
    let properties = WriterProperties::builder()
        .set_dictionary_enabled(false)
        .set_encoding(Encoding::DELTA_LENGTH_BYTE_ARRAY)
        .set_column_encoding("other".into(), Encoding::PLAIN)
        .set_statistics_enabled(parquet::file::properties::EnabledStatistics::None);
    let mut bytes = written(ids, words, properties);
    // Blocks of 128, pieces of 4, 60 values: of those the number becomes 63, in the texts' column.
    let list = [0x80, 0x01, 0x04, 60];
    let at = bytes.windows(4).position(|window| window == list).unwrap();
    bytes[at + 3] = 63;
    let problems = texts(".parquet", &bytes).unwrap_err();
    let expected = "a page has another number of lengths than of values";
    assert_eq!(problems, [format!("FILE: it cannot be read as Parquet: {expected}")]);
}

#[test]
fn a_file_that_is_cut_off_anywhere_is_an_error() {
    let (ids, words, _) = any_texts(20);
    let whole = parquet(ids, words, Compression::SNAPPY);
    let bytes = std::fs::read(whole.path()).unwrap();
    for n in (0..bytes.len()).step_by(7) {
        let cut = file(".parquet", &bytes[..n]);
        assert!(read(&cut).is_err(), "{n}");
        assert_eq!(File::open(cut.path()).unwrap().metadata().unwrap().len(), n as u64);
    }
}

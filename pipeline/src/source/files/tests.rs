//! Files as sources: every format, lines and places, bounds, and what is broken.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{
    Decimal128Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
};

use super::*;

const CSV: FileFormat = FileFormat::Csv { has_header: true, delimiter: b',' };

fn options(path: &std::path::Path, format: FileFormat) -> FilesOptions {
    let path = path.to_str().unwrap().to_owned();
    FilesOptions { path, format, record_bytes_max: RECORD_BYTES_MAX }
}

fn read_from(source: &mut FilesSource, from: Option<Offset>) -> Vec<(Offset, String)> {
    drain(&mut *source.open(0, from).unwrap())
}

fn drain(reader: &mut dyn PartitionReader) -> Vec<(Offset, String)> {
    let mut seen = Vec::new();
    loop {
        let mut visit = |r: crate::model::Record<'_>| {
            seen.push((r.offset, String::from_utf8_lossy(r.payload).into_owned()));
        };
        if reader.read(2, Duration::from_secs(5), &mut visit).unwrap().ended {
            return seen;
        }
    }
}

fn lines(expected: &[(Offset, &str)]) -> Vec<(Offset, String)> {
    expected.iter().map(|(line, text)| (*line, (*text).to_owned())).collect()
}

#[test]
fn csv_gives_its_header_and_records_with_their_own_bytes_and_lines() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("orders.csv");
    std::fs::write(
        &path,
        "id,\"what, where\",amount\r\n1,\"two\nlines\",1.50\r\n2,\"a \"\"b\"\"\",2\r\n",
    )
    .unwrap();
    let mut source = FilesSource::open(&options(&path, CSV)).unwrap();
    let header = source.csv_header().unwrap();
    assert_eq!(header, ["id", "what, where", "amount"]);
    let expected = lines(&[(2, "1,\"two\nlines\",1.50"), (4, "2,\"a \"\"b\"\"\",2")]);
    assert_eq!(read_from(&mut source, None), expected);
    assert_eq!(read_from(&mut source, Some(3)), expected[1..]);
}

#[test]
fn packed_files_are_unpacked_and_parts_are_joined() {
    let dir = tempfile::tempdir().unwrap();
    let mut packed = Vec::new();
    for part in ["{\"n\":1}\n{\"n\"", ":2}\n"] {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(part.as_bytes()).unwrap();
        packed.extend(encoder.finish().unwrap());
    }
    let path = dir.path().join("orders.jsonl.gz");
    std::fs::write(&path, packed).unwrap();
    let mut source = FilesSource::open(&options(&path, FileFormat::JsonLines)).unwrap();
    assert_eq!(source.csv_header(), None);
    assert_eq!(read_from(&mut source, None), lines(&[(1, "{\"n\":1}"), (2, "{\"n\":2}")]));
}

#[test]
fn files_of_a_folder_are_one_partition_whose_places_name_file_and_line() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("b.csv"), "id\n3\n\n4").unwrap();
    std::fs::write(dir.path().join("a.csv"), "id\n1\n2\n").unwrap();
    let mut source = FilesSource::open(&options(dir.path(), CSV)).unwrap();
    let mut reader = source.open(0, None).unwrap();
    assert_eq!(drain(&mut *reader), lines(&[(2, "1"), (3, "2"), (5, "3"), (7, "4")]));
    let place = |offset| reader.position(offset).to_string();
    assert!(place(3).ends_with("a.csv line 3"), "{}", place(3));
    assert!(place(7).ends_with("b.csv line 4"), "{}", place(7));
    reader.seek(5).unwrap();
    assert_eq!(drain(&mut *reader), lines(&[(5, "3"), (7, "4")]));
}

#[test]
fn lines_go_on_counting_into_a_file_without_a_header() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.jsonl"), "{}\n{}\n").unwrap();
    std::fs::write(dir.path().join("b.jsonl"), "[]\n").unwrap();
    let mut source = FilesSource::open(&options(dir.path(), FileFormat::JsonLines)).unwrap();
    assert_eq!(read_from(&mut source, None), lines(&[(1, "{}"), (2, "{}"), (3, "[]")]));
}

#[test]
fn a_file_with_another_header_is_refused_with_its_name() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.csv"), "id,n\n1,2\n").unwrap();
    std::fs::write(dir.path().join("b.csv"), "n,id\n1,2\n").unwrap();
    let mut source = FilesSource::open(&options(dir.path(), CSV)).unwrap();
    let mut reader = source.open(0, None).unwrap();
    let error = reader.read(10, Duration::ZERO, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("b.csv line 1") && error.contains("first file's: id, n"), "{error}");
}

#[test]
fn a_ten_megabyte_line_is_given_cut_just_past_the_bound() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("long.jsonl");
    let text = [b"first\n".as_slice(), &vec![b'x'; 10_000_000], b"\nlast\n"].concat();
    std::fs::write(&path, text).unwrap();
    let mut source = FilesSource::open(&options(&path, FileFormat::JsonLines)).unwrap();
    let seen = read_from(&mut source, None);
    let sizes: Vec<_> = seen.iter().map(|(line, text)| (*line, text.len())).collect();
    assert_eq!(sizes, [(1, 5), (2, RECORD_BYTES_MAX + 1), (3, 4)]);
}

#[test]
fn parquet_rows_are_json_with_every_digit_of_a_decimal() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("orders.parquet");
    let amounts = [Some(1), Some(-123_456_789_012_345_678_901_234_567_890), None];
    let amounts = Decimal128Array::from(amounts.to_vec()).with_precision_and_scale(38, 4).unwrap();
    let times = TimestampMillisecondArray::from(vec![1_605_024_000_123; 3]).with_timezone("+08:00");
    let batch = RecordBatch::try_from_iter([
        ("id", Arc::new(Int64Array::from(vec![1, 2, 3])) as arrow::array::ArrayRef),
        ("amount", Arc::new(amounts)),
        ("city", Arc::new(StringArray::from(vec!["杭州", "line\nbreak", "\"quoted\""]))),
        ("at", Arc::new(times)),
    ])
    .unwrap();
    let file = std::fs::File::create(&path).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let mut source = FilesSource::open(&options(&path, FileFormat::Parquet)).unwrap();
    let expected = lines(&[
        (1, r#"{"id":1,"amount":0.0001,"city":"杭州","at":"2020-11-11T00:00:00.123+08:00"}"#),
        (
            2,
            r#"{"id":2,"amount":-12345678901234567890123456.7890,"city":"line\nbreak","at":"2020-11-11T00:00:00.123+08:00"}"#,
        ),
        (3, r#"{"id":3,"city":"\"quoted\"","at":"2020-11-11T00:00:00.123+08:00"}"#),
    ]);
    assert_eq!(read_from(&mut source, None), expected);
    assert_eq!(read_from(&mut source, Some(3)), expected[2..]);
}

#[test]
fn a_pipe_is_read_as_it_comes_and_a_silent_one_does_not_hold_up() {
    let (pipe, mut sender) = std::io::pipe().unwrap();
    sender.write_all(b"id,n\n1,a\n").unwrap();
    let mut source = FilesSource::pipe(pipe, CSV, RECORD_BYTES_MAX).unwrap();
    assert_eq!(source.csv_header().unwrap(), ["id", "n"]);
    let mut reader = source.open(0, None).unwrap();
    let mut seen = Vec::new();
    let mut visit = |r: crate::model::Record<'_>| seen.push((r.offset, r.payload.to_vec()));
    let outcome = reader.read(10, Duration::from_millis(10), &mut visit).unwrap();
    assert_eq!((outcome.records, outcome.ended), (1, false));
    sender.write_all(b"2,").unwrap();
    assert_eq!(reader.read(10, Duration::from_millis(10), &mut visit).unwrap().records, 0);
    sender.write_all(b"b").unwrap();
    drop(sender);
    while !reader.read(10, Duration::from_millis(10), &mut visit).unwrap().ended {}
    assert_eq!(seen, [(2, b"1,a".to_vec()), (3, b"2,b".to_vec())]);
    assert!(reader.seek(1).is_err());
    assert!(source.open(0, None).is_err());
}

#[test]
fn a_missing_file_and_a_broken_one_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("none.csv");
    let error = FilesSource::open(&options(&path, CSV)).err().unwrap();
    assert!(matches!(error, SourceError::NoFile { .. }), "{error}");
    let path = dir.path().join("broken.jsonl.gz");
    std::fs::write(&path, "this is not gzip").unwrap();
    let mut source = FilesSource::open(&options(&path, FileFormat::JsonLines)).unwrap();
    let mut reader = source.open(0, None).unwrap();
    let error = reader.read(1, Duration::ZERO, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("broken.jsonl.gz line 1"), "{error}");
    let error = FilesSource::stdin(FileFormat::Parquet, 1).err().unwrap();
    assert!(matches!(error, SourceError::BadOption { .. }), "{error}");
}

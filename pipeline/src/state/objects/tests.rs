//! What every place promises, asked of each.

use object_store::memory::InMemory;

use super::*;

/// A folder, and an object store that knows conditions as S3 does.
fn each(test: impl Fn(&dyn Objects)) {
    let dir = tempfile::tempdir().expect("folder");
    test(&Disk::open(&dir.path().join("checkpoints")).expect("opens"));
    test(&Remote::new(Arc::new(InMemory::new()), "memory://", "a/prefix").expect("opens"));
}

#[test]
fn an_object_is_whole_or_absent_and_listed_by_its_full_name() {
    each(|objects| {
        assert_eq!(objects.read("orders/x").expect("read"), None);
        assert_eq!(objects.list("").expect("listed"), Vec::<String>::new());
        objects.write("orders/x", b"one").expect("written");
        objects.write("b", b"two").expect("written");
        objects.write("orders/x", b"three").expect("written");
        assert_eq!(objects.read("orders/x").expect("read").as_deref(), Some(b"three".as_slice()));
        assert_eq!(
            objects.read_range("orders/x", 1, 3).expect("read").as_deref(),
            Some(b"hr".as_slice())
        );
        assert_eq!(objects.list("").expect("listed"), ["b", "orders/x"]);
        assert_eq!(objects.list("orders").expect("listed"), ["orders/x"]);
        objects.delete("orders/x").expect("deleted");
        objects.delete("orders/x").expect("is gone already");
        assert_eq!(objects.list("").expect("listed"), ["b"]);
    });
}

#[test]
fn of_two_who_write_on_a_condition_one_wins() {
    each(|objects| {
        let first =
            objects.write_if("head", b"generation 1", None).expect("written").expect("is first");
        assert_eq!(objects.write_if("head", b"generation 1 too", None).expect("asked"), None);
        let second = objects
            .write_if("head", b"generation 2", Some(&first))
            .expect("written")
            .expect("is next");
        assert_eq!(
            objects.write_if("head", b"zombie", Some(&first)).expect("asked"),
            None,
            "a zombie is refused"
        );
        let (bytes, tag) = objects.read_tagged("head").expect("read").expect("there");
        assert_eq!((bytes.as_slice(), tag), (b"generation 2".as_slice(), second));
        assert_eq!(objects.list("").expect("listed"), ["head"]);
    });
}

#[test]
fn of_many_threads_that_write_on_a_condition_exactly_one_wins() {
    each(|objects| {
        let wins = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..8)
                .map(|number| {
                    scope.spawn(move || {
                        objects
                            .write_if("head", format!("{number}").as_bytes(), None)
                            .expect("asked")
                    })
                })
                .collect();
            writers.into_iter().filter_map(|writer| writer.join().expect("ends")).count()
        });
        assert_eq!(wins, 1);
    });
}

#[test]
fn only_a_disk_grows_and_what_was_behind_the_place_is_gone() {
    each(|objects| {
        let grows = objects.grow("log", 0, b"one, two").expect("asked");
        if grows {
            objects.grow("log", 3, b"!").expect("written");
            assert_eq!(objects.read("log").expect("read").as_deref(), Some(b"one!".as_slice()));
        } else {
            assert_eq!(objects.read("log").expect("read"), None);
        }
    });
}

#[test]
fn what_was_being_written_at_a_crash_counts_as_absent() {
    let dir = tempfile::tempdir().expect("folder");
    let disk = Disk::open(dir.path()).expect("opens");
    std::fs::write(dir.path().join("000000000001.checkpoint.partial"), b"half").expect("written");
    assert_eq!(disk.list("").expect("listed"), Vec::<String>::new());
}

#[test]
fn a_place_of_no_known_kind_is_refused_with_those_that_are() {
    let error = open("gopher://x", &S3Options::default()).expect_err("unknown").to_string();
    assert!(error.contains("'gopher'") && error.contains("s3://bucket/prefix"), "{error}");
    assert!(is_remote("s3://a/b") && !is_remote("file:///a") && !is_remote("data/checkpoints"));
}

#[test]
fn a_url_of_a_file_is_a_folder() {
    let dir = tempfile::tempdir().expect("folder");
    let url = format!("file://{}", dir.path().join("x").display());
    open(&url, &S3Options::default()).expect("opens").write("a", b"1").expect("written");
    assert_eq!(std::fs::read(dir.path().join("x/a")).expect("read"), b"1");
}

#[test]
fn a_store_that_cannot_be_reached_is_told_with_its_place_within_its_bound() {
    let s3 = S3Options {
        endpoint: Some("http://127.0.0.1:9".to_owned()),
        region: Some("eu-west-1".to_owned()),
    };
    let store = open("s3://orders/live", &s3).expect("describes itself");
    // Credentials come from the environment; without any the client asks a machine that is not there.
    let began = std::time::Instant::now();
    let error = store.list("").expect_err("is not there").to_string();
    assert!(error.starts_with("list s3://orders/live"), "{error}");
    assert!(began.elapsed() < std::time::Duration::from_secs(40), "{:?}", began.elapsed());
}

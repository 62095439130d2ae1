//! Where rows go besides the results: files of `INSERT INTO`.

pub mod files;

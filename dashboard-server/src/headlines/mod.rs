//! Headline figures: one number with its papers, in words that can be printed as they are.

pub mod figure;
pub mod number;
pub mod words;

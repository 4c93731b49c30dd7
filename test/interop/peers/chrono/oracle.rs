//! Answers what a stock host would, with the date arithmetic that stock hosts are built with.
//!
//! Reads JSON lines and answers each with one line:
//!
//! - `{"waves": {"BOUND": "TIME", ...}, "seed": N, "now": "TIME"}`: whether the host may have the update, `true` or `false`,
//!   or `"panic"` where the host would stop. Without `waves`, those of the line before are meant;
//! - `{"time": "TEXT"}`: the nanoseconds since 1970 that the text is read as, as text, or `null` when it is refused.
//!
//! Exits 1 on any other line.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, BufRead, Write};
use std::panic;
use std::process::ExitCode;

use chrono::{DateTime, Utc};
use serde_json::{json, Value};

type Waves = BTreeMap<u32, DateTime<Utc>>;

/// One more than the highest seed; bounds above it are never looked at.
const MAX_SEED: u32 = 2048;

fn update_ready(waves: &Waves, seed: u32, now: DateTime<Utc>) -> bool {
    let previous = waves.range(..seed).next_back();
    let next = waves.range(seed..=MAX_SEED).next();
    match (previous, next) {
        (None, _) => true,
        (Some((_, &start)), None) => now >= start,
        (Some((_, _)), Some((_, &end))) if now >= end => true,
        (Some((_, &start)), Some(_)) if now < start => false,
        (Some((&low, &start)), Some((&high, &end))) => {
            let step = (end - start) / (high - low) as i32;
            // The seed itself, not its place in the wave: that is what hosts do.
            now >= start + step * seed as i32
        }
    }
}

fn answer(line: &str, waves: &mut Waves) -> Result<Value, Box<dyn Error>> {
    let mut question: Value = serde_json::from_str(line)?;
    if let Some(text) = question["time"].as_str() {
        return Ok(match text.parse::<DateTime<Utc>>() {
            Ok(time) => json!(nanoseconds(time).to_string()),
            Err(_) => Value::Null,
        });
    }
    if !question["waves"].is_null() {
        *waves = serde_json::from_value(question["waves"].take())?;
    }
    let seed: u32 = serde_json::from_value(question["seed"].take())?;
    let now: DateTime<Utc> = serde_json::from_value(question["now"].take())?;
    Ok(match panic::catch_unwind(|| update_ready(waves, seed, now)) {
        Ok(ready) => json!(ready),
        Err(_) => json!("panic"),
    })
}

/// The text form of a date ends long before the type does, so this may be far beyond 64 bits.
fn nanoseconds(time: DateTime<Utc>) -> i128 {
    i128::from(time.timestamp()) * 1_000_000_000 + i128::from(time.timestamp_subsec_nanos())
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut waves = Waves::new();
    let mut output = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        writeln!(output, "{}", answer(&line?, &mut waves)?)?;
    }
    Ok(())
}

fn main() -> ExitCode {
    // A panic is an answer here, not news.
    panic::set_hook(Box::new(|_| ()));
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

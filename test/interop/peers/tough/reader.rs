//! Reads a TUF repository the way updog does: load, then save every target.
//!
//! One source for both versions of tough. Prints one JSON line with the versions it came to trust;
//! exits 1 when anything is refused.

use std::collections::HashMap;
use std::error::Error;
use std::process::ExitCode;

use serde_json::json;
use tough::{Prefix, RepositoryLoader, TargetName};
use url::Url;

/// The package's version is the version of tough that its manifest pins.
const CLIENT: &str = concat!("tough ", env!("CARGO_PKG_VERSION"));

fn arguments() -> Result<HashMap<String, String>, Box<dyn Error>> {
    let mut options = HashMap::new();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let name = word.strip_prefix("--").ok_or("expected an option")?;
        let value = words.next().ok_or("expected a value")?;
        options.insert(name.to_owned(), value);
    }
    Ok(options)
}

async fn read() -> Result<String, Box<dyn Error>> {
    let options = arguments()?;
    let option = |name: &str| options.get(name).ok_or(format!("--{name} is missing"));

    let root = std::fs::read(option("root")?)?;
    let metadata_url = Url::parse(option("metadata-url")?)?;
    let targets_url = Url::parse(option("targets-url")?)?;
    let out = option("out")?;
    let repository = RepositoryLoader::new(&root, metadata_url, targets_url)
        .datastore(option("state")?)
        .load()
        .await?;

    let mut names: Vec<&TargetName> = repository.targets().signed.targets.keys().collect();
    names.sort_by(|a, b| a.raw().cmp(b.raw()));
    for name in &names {
        repository.save_target(name, out, Prefix::None).await?;
    }

    let line = json!({
        "client": CLIENT,
        "root": repository.root().signed.version,
        "timestamp": repository.timestamp().signed.version,
        "snapshot": repository.snapshot().signed.version,
        "targets": repository.targets().signed.version,
        "downloaded": names.iter().map(|name| name.raw()).collect::<Vec<_>>(),
    });
    Ok(line.to_string())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match read().await {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

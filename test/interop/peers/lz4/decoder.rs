//! Decompresses a file the way updog does: `lz4::Decoder` over a reader, copied to the end.
//!
//! Arguments: the file and where its content goes. Exits 1 when anything is refused.

use std::error::Error;
use std::fs::File;
use std::io;
use std::process::ExitCode;

fn decode() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let from = words.next().ok_or("expected a file")?;
    let to = words.next().ok_or("expected where its content goes")?;
    let mut decoder = lz4::Decoder::new(File::open(from)?)?;
    io::copy(&mut decoder, &mut File::create(to)?)?;
    // Refuses a frame that has not ended.
    decoder.finish().1?;
    Ok(())
}

fn main() -> ExitCode {
    match decode() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

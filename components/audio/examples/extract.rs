//! Takes the soundtrack out of a file, natively: `extract VIDEO RESULT [wav]`.
#![expect(clippy::panic, reason = "a tool for developers says what failed")]

use std::{
    env,
    error::Error,
    fs::File,
    io::{Read as _, Seek as _, SeekFrom, Write as _},
};

use audio::{
    Extraction,
    soundtracks::{Encoding, GuestExtraction as _, Step},
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [video, result, rest @ ..] = arguments.as_slice() else {
        panic!("usage: extract VIDEO RESULT [wav]");
    };
    let mut video = File::open(video)?;
    let mut result = File::create(result)?;
    let encoding = match rest {
        [] => Encoding::Copy,
        _ => Encoding::Wav,
    };
    let extraction = Extraction::new(video.metadata()?.len(), encoding);
    let mut read = 0;
    loop {
        match extraction.next()? {
            Step::Need(range) => {
                let mut piece = vec![0; range.length as usize];
                video.seek(SeekFrom::Start(range.offset))?;
                video.read_exact(&mut piece)?;
                read += piece.len();
                extraction.supply(piece)?;
            }
            Step::Found(track) => println!("{track:?}"),
            Step::Content(content) => result.write_all(&content)?,
            Step::Done => break,
        }
    }
    println!("read {read} bytes");
    Ok(())
}

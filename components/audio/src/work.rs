//! The work on one file, from its first bytes to the last of the result.

use crate::{
    error::Error,
    matroska, mp4,
    packets::LARGEST_FILE,
    soundtracks::{self, Encoding, Step},
    track::Track,
    window::Window,
    writer::{Writer, Written},
};

/// How many bytes tell the container.
const MAGIC: u32 = 12;

/// How far the work is.
enum Stage {
    Begin,
    Mp4(Box<mp4::Walk>),
    Matroska(Box<matroska::Walk>),
    Writing(Box<Writer>),
    Ended(Result<(), Error>),
}

/// The work on one file.
pub(crate) struct Work {
    window: Window,
    encoding: Encoding,
    stage: Stage,
}

impl Work {
    /// Begin.
    pub(crate) fn new(size: u64, encoding: Encoding) -> Self {
        Self {
            window: Window::new(size),
            encoding,
            stage: Stage::Begin,
        }
    }

    /// Go on until bytes are needed or something came out.
    pub(crate) fn next(&mut self) -> Result<Step, Error> {
        // Asking again costs nothing, and changes nothing.
        if let Some(range) = self.window.wanted() {
            return Ok(Step::Need(range));
        }
        let step = self.advance();
        if let Err(error) = &step {
            self.stage = Stage::Ended(Err(error.clone()));
            self.window = Window::new(0);
        }
        step
    }

    /// Take in the bytes that are needed. Returns whether they are what was asked
    /// for.
    pub(crate) fn supply(&mut self, content: Vec<u8>) -> bool {
        self.window.supply(content)
    }

    fn advance(&mut self) -> Result<Step, Error> {
        loop {
            let found = match &mut self.stage {
                Stage::Begin => match recognise(&mut self.window)? {
                    Some(stage) => {
                        self.stage = stage;
                        continue;
                    }
                    None => None,
                },
                Stage::Mp4(walk) => walk.advance(&mut self.window)?,
                Stage::Matroska(walk) => walk.advance(&mut self.window)?,
                Stage::Writing(writer) => match writer.advance(&mut self.window)? {
                    Some(Written::Content(content)) => return Ok(Step::Content(content)),
                    Some(Written::All) => {
                        self.stage = Stage::Ended(Ok(()));
                        continue;
                    }
                    None => None,
                },
                Stage::Ended(Ok(())) => return Ok(Step::Done),
                Stage::Ended(Err(error)) => return Err(error.clone()),
            };
            return match (found, self.window.wanted()) {
                (Some(track), _) => self.found(track),
                (None, Some(_)) if self.window.is_scattered() => {
                    Err(Error::malformed("its parts are scattered too widely"))
                }
                (None, Some(range)) => Ok(Step::Need(range)),
                (None, None) => Err(Error::Other("nothing to do".into())),
            };
        }
    }

    fn found(&mut self, track: Track) -> Result<Step, Error> {
        let packets = u32::try_from(track.packets.len()).unwrap_or(u32::MAX);
        if packets == 0 {
            return Err(Error::NoAudioTrack);
        }
        let (media_type, extension) = Writer::media_type(&track, self.encoding);
        let found = soundtracks::Track {
            container: track.container,
            codec: track.description.codec.to_wit(),
            sample_rate_hz: track.description.sample_rate,
            channels: track.description.channels,
            duration_ms: track.duration_ms,
            packets,
            media_type: media_type.into(),
            extension: extension.into(),
        };
        self.stage = Stage::Writing(Box::new(Writer::new(track, self.encoding)?));
        Ok(Step::Found(found))
    }
}

/// Which way leads through the file. Returns `None` when bytes are wanted.
fn recognise(window: &mut Window) -> Result<Option<Stage>, Error> {
    let size = window.size();
    if size > LARGEST_FILE {
        return Err(Error::TooLarge(format!("a file of {size} bytes")));
    }
    let Some(magic) = window.get(0, MAGIC) else {
        return Ok(None);
    };
    match (magic.first_chunk(), magic.get(4..8)) {
        (Some(b"\x1a\x45\xdf\xa3"), _) => {
            Ok(Some(Stage::Matroska(Box::new(matroska::Walk::new(size)))))
        }
        // Old QuickTime files begin with what comes next instead of `ftyp`.
        (
            _,
            Some(b"ftyp" | b"styp" | b"moov" | b"mdat" | b"free" | b"skip" | b"wide" | b"pnot"),
        ) => Ok(Some(Stage::Mp4(Box::default()))),
        _ => Err(Error::UnsupportedContainer),
    }
}

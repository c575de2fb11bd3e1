//! Making the result, packet by packet.

use crate::{
    error::Error,
    m4a,
    oggs::Ogg,
    soundtracks::Encoding,
    track::{Codec, Track},
    wav::Wav,
    window::{PIECE, Window},
};

/// The most bytes that come out at once.
const LARGEST_CONTENT: usize = 1024 * 1024;

/// What came out.
#[derive(Debug)]
pub(crate) enum Written {
    Content(Vec<u8>),
    /// There is no more.
    All,
}

/// The form of the result.
enum Sink {
    /// The packets one after the other, behind a head: M4A, MP3.
    Plain(Vec<u8>),
    Ogg(Box<Ogg>),
    /// A WAV, before its head is known.
    Measure(Box<Wav>),
    Wav(Box<Wav>),
}

/// Takes the packets of a track out.
pub(crate) struct Writer {
    track: Track,
    sink: Sink,
    /// The packet that comes next.
    next: usize,
    out: Vec<u8>,
}

impl Writer {
    /// Begin with the first packet.
    pub(crate) fn new(track: Track, encoding: Encoding) -> Result<Self, Error> {
        let sink = match (encoding, &track.description.codec) {
            (Encoding::Wav, _) => Sink::Measure(Box::new(Wav::begin(&track)?)),
            (Encoding::Copy, Codec::Aac(config)) => Sink::Plain(m4a::head(&track, config)?),
            (Encoding::Copy, Codec::Mp3) => Sink::Plain(Vec::new()),
            (Encoding::Copy, Codec::Opus(_) | Codec::Vorbis(_)) => {
                Sink::Ogg(Box::new(Ogg::begin(&track)?))
            }
        };
        Ok(Self {
            track,
            sink,
            next: 0,
            out: Vec::new(),
        })
    }

    /// The media type of the result, and the extension of its name.
    pub(crate) fn media_type(track: &Track, encoding: Encoding) -> (&'static str, &'static str) {
        match (encoding, &track.description.codec) {
            (Encoding::Wav, _) => ("audio/wav", "wav"),
            (Encoding::Copy, Codec::Aac(_)) => ("audio/mp4", "m4a"),
            (Encoding::Copy, Codec::Mp3) => ("audio/mpeg", "mp3"),
            (Encoding::Copy, Codec::Opus(_)) => ("audio/ogg", "opus"),
            (Encoding::Copy, Codec::Vorbis(_)) => ("audio/ogg", "ogg"),
        }
    }

    /// Go on. Returns `None` when bytes are wanted.
    pub(crate) fn advance(&mut self, window: &mut Window) -> Result<Option<Written>, Error> {
        if let Sink::Plain(head) = &mut self.sink {
            self.out.append(head);
        }
        while self.out.len() < PIECE as usize {
            let Some(packet) = self.track.packets.get(self.next) else {
                if self.measured()? {
                    continue;
                }
                return Ok(Some(match self.out.is_empty() {
                    true => Written::All,
                    false => Written::Content(std::mem::take(&mut self.out)),
                }));
            };
            let ahead = || self.track.packets.stretch(self.next, PIECE);
            let Some(packet) = window.get_ahead(packet.offset.into(), packet.size, ahead) else {
                return Ok(None);
            };
            self.next += 1;
            match &mut self.sink {
                Sink::Plain(_) => self.out.extend_from_slice(packet),
                Sink::Ogg(ogg) => {
                    ogg.write(packet, self.next == self.track.packets.len())?;
                    self.out.append(&mut ogg.take());
                }
                Sink::Measure(wav) => wav.measure(packet),
                Sink::Wav(wav) => wav.write(packet, &mut self.out),
            }
        }
        let rest = self.out.split_off(self.out.len().min(LARGEST_CONTENT));
        let content = std::mem::replace(&mut self.out, rest);
        Ok(Some(Written::Content(content)))
    }

    /// Begin again with the first packet, if all were only measured until now.
    fn measured(&mut self) -> Result<bool, Error> {
        match std::mem::replace(&mut self.sink, Sink::Plain(Vec::new())) {
            Sink::Measure(mut wav) => {
                self.out = wav.head(&self.track)?;
                self.sink = Sink::Wav(wav);
                self.next = 0;
                Ok(true)
            }
            sink => {
                self.sink = sink;
                Ok(false)
            }
        }
    }
}

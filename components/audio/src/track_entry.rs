//! The tracks of a Matroska file (`Tracks`).

use crate::{ebml, error::Error, track::Description};

/// The audio track to take out.
#[derive(Debug)]
pub(crate) struct TrackEntry {
    /// The number by which blocks refer to it.
    pub(crate) number: u64,
    pub(crate) description: Description,
    /// How much of the beginning primes the decoder, in nanoseconds.
    pub(crate) delay_ns: u64,
}

/// Read the content of `Tracks`. Of several audio tracks, the first that is
/// supported counts.
pub(crate) fn read(tracks: &[u8]) -> Result<TrackEntry, Error> {
    let mut refused = Error::NoAudioTrack;
    for child in ebml::children(tracks) {
        let (0xae, entry) = child? else {
            continue;
        };
        match Fields::read(entry)?.parse() {
            Ok(Some(entry)) => return Ok(entry),
            Ok(None) => {}
            // The first refusal is the one to tell.
            Err(error) if refused == Error::NoAudioTrack => refused = error,
            Err(_) => {}
        }
    }
    Err(refused)
}

/// The elements of a `TrackEntry` that matter, as they stand.
#[derive(Default)]
struct Fields<'a> {
    number: u64,
    kind: u64,
    codec: &'a [u8],
    private: &'a [u8],
    delay_ns: u64,
    sample_rate: f64,
    channels: u64,
    is_encoded: bool,
}

impl<'a> Fields<'a> {
    fn read(entry: &'a [u8]) -> Result<Self, Error> {
        let mut fields = Self {
            sample_rate: 8000.0,
            channels: 1,
            ..Self::default()
        };
        for child in ebml::children(entry) {
            match child? {
                (0xd7, number) => fields.number = ebml::unsigned(number),
                (0x83, kind) => fields.kind = ebml::unsigned(kind),
                (0x86, codec) => fields.codec = codec,
                (0x63a2, private) => fields.private = private,
                (0x56aa, delay) => fields.delay_ns = ebml::unsigned(delay),
                (0x6d80, _) => fields.is_encoded = true,
                (0xe1, audio) => {
                    for child in ebml::children(audio) {
                        match child? {
                            (0xb5, rate) => fields.sample_rate = ebml::float(rate),
                            (0x9f, channels) => fields.channels = ebml::unsigned(channels),
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(fields)
    }

    /// Returns `None` if it is another kind of track.
    fn parse(self) -> Result<Option<TrackEntry>, Error> {
        /// The `TrackType` of audio.
        const AUDIO: u64 = 2;
        if self.kind != AUDIO {
            return Ok(None);
        }
        let name = self.codec.trim_ascii_end().escape_ascii().to_string();
        if self.is_encoded {
            let name = format!("{name}, compressed or encrypted once more");
            return Err(Error::UnsupportedCodec(name));
        }
        // Casts of floats saturate, and take what is not a number for 0.
        let rate = self.sample_rate as u32;
        let channels = u16::try_from(self.channels).unwrap_or_default();
        let description = match name.as_str() {
            "A_AAC" if self.private.len() >= 2 => {
                Description::aac(self.private.to_vec(), rate, channels)
            }
            "A_MPEG/L3" => Description::mp3(rate, channels),
            "A_OPUS" => Description::opus(self.private.to_vec())?,
            "A_VORBIS" => Description::vorbis(three_headers(self.private)?)?,
            _ => return Err(Error::UnsupportedCodec(name)),
        };
        Ok(Some(TrackEntry {
            number: self.number,
            description,
            delay_ns: self.delay_ns,
        }))
    }
}

/// The headers of Vorbis, laced as in Ogg: their number less one, the sizes of all
/// but the last, then the headers.
fn three_headers(private: &[u8]) -> Result<[Vec<u8>; 3], Error> {
    /// The flags of a block that is laced in this way.
    const XIPH: u8 = 0x02;
    let laced = crate::lacing::sizes(XIPH, private, private.len() as u64);
    let (head, sizes) = laced.map_err(|_| damaged())?;
    let mut rest = private.get(head as usize..).unwrap_or_default();
    let mut headers = Vec::with_capacity(3);
    for size in sizes {
        let (header, after) = rest.split_at_checked(size as usize).ok_or_else(damaged)?;
        headers.push(header.to_vec());
        rest = after;
    }
    headers.try_into().map_err(|_| damaged())
}

fn damaged() -> Error {
    Error::malformed("the Vorbis headers")
}

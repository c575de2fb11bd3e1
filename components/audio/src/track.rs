//! The track to take out, as every container describes it.

use symphonia_common::mpeg::audio::AudioSpecificConfig;

use crate::{
    error::Error,
    packets::Packets,
    soundtracks::{self, Container},
    timing::Timing,
};

/// A codec, and what its decoder must know before the first packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    /// With the AudioSpecificConfig (ISO/IEC 14496-3).
    Aac(Vec<u8>),
    Mp3,
    /// With the identification header (RFC 7845).
    Opus(Vec<u8>),
    /// With the identification, comment and setup headers.
    Vorbis([Vec<u8>; 3]),
}

impl Codec {
    /// Its name in the contract.
    pub(crate) fn to_wit(&self) -> soundtracks::Codec {
        match self {
            Self::Aac(_) => soundtracks::Codec::Aac,
            Self::Mp3 => soundtracks::Codec::Mp3,
            Self::Opus(_) => soundtracks::Codec::Opus,
            Self::Vorbis(_) => soundtracks::Codec::Vorbis,
        }
    }
}

/// Everything but the packets.
#[derive(Clone, Debug)]
pub(crate) struct Description {
    pub(crate) codec: Codec,
    pub(crate) sample_rate: u32,
    pub(crate) channels: u16,
    /// How many samples a packet of the codec has, if that is always the same.
    pub(crate) packet_samples: Option<u32>,
}

impl Description {
    /// AAC. What the configuration says wins over `sample_rate` and `channels`,
    /// which the container says.
    pub(crate) fn aac(config: Vec<u8>, sample_rate: u32, channels: u16) -> Self {
        // A configuration that is not understood can still be copied.
        let read = AudioSpecificConfig::read(&config).ok();
        let told = |read: &AudioSpecificConfig| {
            let channels = read.channels.as_ref()?.count();
            u16::try_from(channels).ok()
        };
        Self {
            codec: Codec::Aac(config),
            sample_rate: read.as_ref().map_or(sample_rate, |read| read.sample_rate),
            channels: read.as_ref().and_then(told).unwrap_or(channels),
            packet_samples: match read.map(|read| read.samples) {
                Some(960) => Some(960),
                _ => Some(1024),
            },
        }
    }

    /// MP3.
    pub(crate) fn mp3(sample_rate: u32, channels: u16) -> Self {
        Self {
            codec: Codec::Mp3,
            sample_rate,
            channels,
            packet_samples: None,
        }
    }

    /// Opus with its identification header.
    pub(crate) fn opus(head: Vec<u8>) -> Result<Self, Error> {
        // Magic, version, channels, pre-skip, rate, gain, mapping family.
        let channels = match (head.len(), head.starts_with(b"OpusHead"), head.get(9)) {
            (19.., true, Some(&channels)) if channels > 0 => channels,
            _ => return Err(Error::malformed("the Opus header")),
        };
        Ok(Self {
            codec: Codec::Opus(head),
            sample_rate: 48_000,
            channels: channels.into(),
            packet_samples: None,
        })
    }

    /// Vorbis with its three headers.
    pub(crate) fn vorbis(headers: [Vec<u8>; 3]) -> Result<Self, Error> {
        let [identification, _, setup] = &headers;
        // Packet type, `vorbis`, version, channels, rate.
        let damaged = || Error::malformed("the Vorbis headers");
        if !identification.starts_with(b"\x01vorbis") || !setup.starts_with(b"\x05vorbis") {
            return Err(damaged());
        }
        let channels = *identification.get(11).ok_or_else(damaged)?;
        let rate = identification.get(12..).and_then(|rest| rest.first_chunk());
        let sample_rate = rate.map(|rate| u32::from_le_bytes(*rate));
        match sample_rate {
            Some(sample_rate) if sample_rate > 0 && channels > 0 => Ok(Self {
                codec: Codec::Vorbis(headers),
                sample_rate,
                channels: channels.into(),
                packet_samples: None,
            }),
            _ => Err(damaged()),
        }
    }
}

/// A track whose every packet was found.
#[derive(Debug)]
pub(crate) struct Track {
    pub(crate) container: Container,
    pub(crate) description: Description,
    pub(crate) packets: Packets,
    /// As far as the container says it of each packet.
    pub(crate) timing: Timing,
    pub(crate) duration_ms: u64,
    /// What the last packet has too much, in samples.
    pub(crate) padding_samples: u64,
}

//! AAC and MP3 decoded, as WAV.

use symphonia_bundle_mp3::MpaDecoder;
use symphonia_codec_aac::AacDecoder;
use symphonia_core::{
    codecs::audio::{
        AudioCodecId, AudioCodecParameters, AudioDecoder, AudioDecoderOptions,
        well_known::{CODEC_ID_AAC, CODEC_ID_MP3},
    },
    packet::PacketRef,
    units::{Duration, Timestamp},
};

use crate::{
    error::Error,
    mpeg::Frame,
    track::{Codec, Track},
};

/// The largest WAV: fifty minutes in stereo at 44.1 kHz.
const LARGEST: u64 = 512 * 1024 * 1024;

/// Bytes of a sample of one channel.
const SAMPLE: u64 = 2;

/// Decodes packets.
///
/// The size of a WAV stands in front. So all packets are first measured, which
/// takes no decoding, then decoded. One that is damaged is silent.
pub(crate) struct Wav {
    decoder: Box<dyn AudioDecoder>,
    /// Frames of a packet, if its own header does not say it.
    packet: Option<u32>,
    sample_rate: u32,
    channels: u16,
    /// Frames (a sample for each channel) of all packets.
    total: u64,
    /// The frames to be heard: the first, and the one after the last.
    heard: (u64, u64),
    /// Frames that were decoded.
    position: u64,
    samples: Vec<i16>,
}

impl Wav {
    /// Begin to measure.
    pub(crate) fn begin(track: &Track) -> Result<Self, Error> {
        let description = &track.description;
        Ok(Self {
            decoder: decoder(&description.codec)?,
            packet: description.packet_samples,
            sample_rate: description.sample_rate,
            channels: description.channels,
            total: 0,
            heard: (0, u64::MAX),
            position: 0,
            samples: Vec::new(),
        })
    }

    /// Count a packet.
    pub(crate) fn measure(&mut self, packet: &[u8]) {
        if let (None, 0, Some(frame)) = (self.packet, self.total, Frame::read(packet)) {
            // Containers are often wrong about MP3.
            (self.sample_rate, self.channels) = (frame.sample_rate, frame.channels);
        }
        self.total = self.total.saturating_add(self.frames(packet));
    }

    /// End measuring. Returns the header.
    pub(crate) fn head(&mut self, track: &Track) -> Result<Vec<u8>, Error> {
        self.heard = heard(track, self.sample_rate, self.total);
        let (first, end) = self.heard;
        let frame = u64::from(self.channels) * SAMPLE;
        let size = (end - first).saturating_mul(frame);
        let (Ok(size), true) = (u32::try_from(size), size <= LARGEST) else {
            return Err(Error::TooLarge(format!("a WAV of {size} bytes")));
        };
        let rate = self.sample_rate.saturating_mul(frame as u32);
        let mut head = Vec::with_capacity(44);
        head.extend(b"RIFF");
        head.extend((size + 36).to_le_bytes());
        head.extend(b"WAVEfmt ");
        head.extend(16_u32.to_le_bytes());
        head.extend(1_u16.to_le_bytes());
        head.extend(self.channels.to_le_bytes());
        head.extend(self.sample_rate.to_le_bytes());
        head.extend(rate.to_le_bytes());
        head.extend((frame as u16).to_le_bytes());
        head.extend((SAMPLE as u16 * 8).to_le_bytes());
        head.extend(b"data");
        head.extend(size.to_le_bytes());
        Ok(head)
    }

    fn frames(&self, packet: &[u8]) -> u64 {
        let of_frame = || Frame::read(packet).map(|frame| frame.samples);
        self.packet.or_else(of_frame).unwrap_or_default().into()
    }

    /// Decode a packet.
    pub(crate) fn write(&mut self, packet: &[u8], out: &mut Vec<u8>) {
        let frames = self.frames(packet);
        let channels = usize::from(self.channels);
        let length = usize::try_from(frames).unwrap_or_default() * channels;
        self.samples.clear();
        let packet = PacketRef::new(0, Timestamp::ZERO, Duration::ZERO, packet);
        if let Ok(decoded) = self.decoder.decode_ref(&packet)
            && decoded.spec().channels().count() == channels
        {
            decoded.copy_to_vec_interleaved(&mut self.samples);
        }
        self.samples.resize(length, 0);
        // Only what is to be heard.
        let (first, end) = self.heard;
        let skipped = first.saturating_sub(self.position).min(frames);
        let taken = end.saturating_sub(self.position).min(frames);
        self.position += frames;
        let place = |frame: u64| usize::try_from(frame).unwrap_or_default() * channels;
        let heard = self.samples.get(place(skipped)..place(taken));
        let bytes = heard.unwrap_or_default().iter();
        out.extend(bytes.flat_map(|sample| sample.to_le_bytes()));
    }
}

fn decoder(codec: &Codec) -> Result<Box<dyn AudioDecoder>, Error> {
    let unsupported = |error| Error::UnsupportedCodec(format!("{error}"));
    let options = AudioDecoderOptions::default();
    let parameters = |codec: AudioCodecId, extra: Option<Vec<u8>>| {
        let mut parameters = AudioCodecParameters::new();
        parameters.for_codec(codec);
        if let Some(extra) = extra {
            parameters.with_extra_data(extra.into_boxed_slice());
        }
        parameters
    };
    Ok(match codec {
        Codec::Aac(config) => {
            let parameters = parameters(CODEC_ID_AAC, Some(config.clone()));
            Box::new(AacDecoder::try_new(&parameters, &options).map_err(unsupported)?)
        }
        Codec::Mp3 => {
            let parameters = parameters(CODEC_ID_MP3, None);
            Box::new(MpaDecoder::try_new(&parameters, &options).map_err(unsupported)?)
        }
        Codec::Opus(_) | Codec::Vorbis(_) => {
            let what = "Opus or Vorbis, which are not decoded";
            return Err(Error::UnsupportedCodec(what.into()));
        }
    })
}

/// The frames to be heard, of `total`.
fn heard(track: &Track, sample_rate: u32, total: u64) -> (u64, u64) {
    let Some(edit) = track.timing.edit else {
        return (0, total.saturating_sub(track.padding_samples));
    };
    let frames = |units: u64| {
        let frames = u128::from(units) * u128::from(sample_rate) / u128::from(track.timing.scale);
        u64::try_from(frames).unwrap_or(u64::MAX)
    };
    let first = frames(edit.start).min(total);
    let end = edit.length.map_or(total, |length| {
        first.saturating_add(frames(length)).min(total)
    });
    (first, end)
}

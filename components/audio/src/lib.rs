#![doc = include_str!("../README.md")]
#![cfg_attr(
    test,
    expect(
        clippy::panic,
        clippy::unwrap_used,
        clippy::indexing_slicing,
        reason = "a test fails by panicking"
    )
)]

mod boxes;
mod ebml;
mod error;
mod fragment;
mod lacing;
mod m4a;
mod matroska;
mod movie;
mod mp4;
mod mpeg;
mod oggs;
mod opus;
mod packets;
mod sample_entry;
mod sample_table;
mod timing;
mod track;
mod track_entry;
mod vorbis;
mod wav;
mod window;
mod work;
mod writer;

use std::cell::RefCell;

pub use bindings::exports::emporium::audio::soundtracks;
use soundtracks::{Encoding, Error as WitError, Guest, GuestExtraction, Step};
use work::Work;

mod bindings {
    wit_bindgen::generate!({
        world: "audio",
        path: "../../wit",
        generate_all,
    });
}

/// The component.
pub struct Component;

impl Guest for Component {
    type Extraction = Extraction;
}

/// The work on one file. Calls come one at a time: none of them waits.
pub struct Extraction(RefCell<Work>);

impl GuestExtraction for Extraction {
    fn new(size_bytes: u64, encoding: Encoding) -> Self {
        Self(RefCell::new(Work::new(size_bytes, encoding)))
    }

    fn next(&self) -> Result<Step, WitError> {
        Ok(self.0.borrow_mut().next()?)
    }

    fn supply(&self, content: Vec<u8>) -> Result<(), WitError> {
        match self.0.borrow_mut().supply(content) {
            true => Ok(()),
            false => Err(WitError::NotAskedFor),
        }
    }
}

// The names of exports have colons, which linkers of other targets do not take.
#[cfg(target_arch = "wasm32")]
bindings::export!(Component with_types_in bindings);

#[cfg(test)]
mod samples;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use soundtracks::{Codec, Container, Track};

    use super::*;

    /// Take the soundtrack out, as a caller who has all of the file.
    fn extract(file: &[u8], encoding: Encoding) -> Result<(Track, Vec<u8>), WitError> {
        let extraction = Extraction::new(file.len() as u64, encoding);
        let (mut found, mut result) = (None, Vec::new());
        // More steps than that are work without an end.
        for _ in 0..20_000 {
            match extraction.next()? {
                Step::Need(range) => {
                    assert!((1..=1 << 20).contains(&range.length));
                    let start = usize::try_from(range.offset).unwrap();
                    let piece = &file[start..start + range.length as usize];
                    assert!(
                        matches!(extraction.next()?, Step::Need(again) if again.offset == range.offset)
                    );
                    extraction.supply(piece.to_vec())?;
                }
                Step::Found(track) => assert!(found.replace(track).is_none()),
                Step::Content(content) => {
                    assert!((1..=1 << 20).contains(&content.len()));
                    result.extend(content);
                }
                Step::Done => {
                    assert!(matches!(extraction.next(), Ok(Step::Done)));
                    return Ok((found.unwrap(), result));
                }
            }
        }
        panic!("no end of steps");
    }

    fn copy(file: &[u8]) -> Result<(Track, Vec<u8>), WitError> {
        extract(file, Encoding::Copy)
    }

    fn ends_with_packets(result: &[u8]) -> bool {
        result.ends_with(&samples::packets().concat())
    }

    /// The packets in the pages of an Ogg, and where each ends in samples.
    fn ogg_packets(result: &[u8]) -> Vec<(Vec<u8>, u64)> {
        let mut reader = ogg::PacketReader::new(std::io::Cursor::new(result));
        let mut packets = Vec::new();
        while let Some(packet) = reader.read_packet().unwrap() {
            packets.push((packet.data.clone(), packet.absgp_page()));
        }
        packets
    }

    fn all_samples() -> Vec<Vec<u8>> {
        vec![
            samples::mp4(),
            samples::mp4_last(100),
            samples::mp4_fragmented(),
            samples::matroska("A_AAC", &samples::AAC),
            samples::matroska("A_MPEG/L3", &[]),
            samples::matroska("A_OPUS", samples::OPUS),
            samples::matroska("A_VORBIS", &samples::laced_headers()),
        ]
    }

    #[test]
    fn aac_is_copied_wherever_the_table_of_contents_is() {
        let whole = samples::mp4();
        for file in [
            whole.clone(),
            samples::mp4_last(10),
            samples::mp4_last(900_000),
        ] {
            let (track, result) = copy(&file).unwrap();
            assert_eq!((track.container, track.codec), (Container::Mp4, Codec::Aac));
            assert_eq!((track.sample_rate_hz, track.channels), (44_100, 2));
            assert_eq!((track.packets, track.duration_ms), (200, 4535));
            assert_eq!(
                (&*track.media_type, &*track.extension),
                ("audio/mp4", "m4a")
            );
            // The sample is written as results are.
            assert!(result == whole);
        }
    }

    #[test]
    fn fragments_are_put_together() {
        let (track, result) = copy(&samples::mp4_fragmented()).unwrap();
        assert_eq!((track.packets, track.duration_ms), (200, 4535));
        assert!(result == samples::mp4());
    }

    #[test]
    fn aac_in_matroska_becomes_an_m4a() {
        let (track, result) = copy(&samples::matroska("A_AAC", &samples::AAC)).unwrap();
        assert_eq!(
            (track.container, track.codec),
            (Container::Matroska, Codec::Aac)
        );
        assert_eq!((track.packets, track.duration_ms), (200, 5000));
        assert!(ends_with_packets(&result));
        let (again, same) = copy(&result).unwrap();
        assert_eq!((again.container, again.packets), (Container::Mp4, 200));
        assert_eq!(again.duration_ms, 200 * 1024 * 1000 / 44_100);
        assert!(ends_with_packets(&same));
    }

    #[test]
    fn mp3_is_copied_as_it_is() {
        let (track, result) = copy(&samples::matroska("A_MPEG/L3", &[])).unwrap();
        assert_eq!(
            (&*track.media_type, &*track.extension),
            ("audio/mpeg", "mp3")
        );
        assert!(result == samples::packets().concat());
    }

    #[test]
    fn opus_becomes_an_ogg() {
        let (track, result) = copy(&samples::matroska("A_OPUS", samples::OPUS)).unwrap();
        assert_eq!(
            (&*track.media_type, track.sample_rate_hz),
            ("audio/ogg", 48_000)
        );
        let packets = ogg_packets(&result);
        assert_eq!(packets[0].0, samples::OPUS);
        assert!(packets[1].0.starts_with(b"OpusTags"));
        let audio: Vec<_> = packets[2..]
            .iter()
            .map(|(packet, _)| packet.clone())
            .collect();
        assert!(audio == samples::packets());
        assert_eq!(packets.last().unwrap().1, 200 * 960);
        // A page a second.
        assert_eq!(packets[2].1, 50 * 960);
    }

    #[test]
    fn vorbis_becomes_an_ogg() {
        let file = samples::matroska("A_VORBIS", &samples::laced_headers());
        let (track, result) = copy(&file).unwrap();
        assert_eq!((track.codec, &*track.extension), (Codec::Vorbis, "ogg"));
        let packets = ogg_packets(&result);
        let headers: Vec<_> = packets[..3]
            .iter()
            .map(|(packet, _)| packet.clone())
            .collect();
        assert!(headers == samples::vorbis_headers());
        assert_eq!(packets.len(), 203);
        // Short blocks, of which the first completes nothing.
        assert_eq!(packets.last().unwrap().1, 199 * 128);
    }

    #[test]
    fn a_damaged_packet_is_silent_in_a_wav() {
        let (track, result) = extract(&samples::mp4(), Encoding::Wav).unwrap();
        assert_eq!(
            (&*track.media_type, &*track.extension),
            ("audio/wav", "wav")
        );
        // What the edit leaves to be heard.
        assert_eq!(result.len(), 44 + 200_000 * 2 * 2);
        assert_eq!(&result[..4], b"RIFF");
        assert_eq!(result[40..44], 800_000_u32.to_le_bytes());
    }

    #[test]
    fn errors_reach_the_contract_under_their_names() {
        let video = samples::mp4_with(|moov| moov.trak[0].mdia.hdlr.handler = b"vide".into());
        let scattered = samples::mp4_with(|moov| {
            let stbl = &mut moov.trak[0].mdia.minf.stbl;
            stbl.stco.as_mut().unwrap().entries.push(u32::MAX);
        });
        let huge = samples::mp4_with(|moov| {
            let same = mp4_atom::StszSamples::Identical {
                count: u32::MAX,
                size: 1 << 19,
            };
            moov.trak[0].mdia.minf.stbl.stsz.samples = same;
        });
        let mut cut_off = samples::mp4();
        cut_off.truncate(cut_off.len() - 1);
        let dts = samples::matroska("A_DTS", &[]);
        for (file, name) in [
            (b"RIFF\0\0\0\0AVI LIST".to_vec(), "unsupported-container"),
            (Vec::new(), "unsupported-container"),
            (video, "no-audio-track"),
            (dts, "unsupported-codec(\"A_DTS\")"),
            (cut_off, "malformed"),
            (samples::mp4_last(10)[..2000].to_vec(), "malformed"),
            (huge, "malformed"),
        ] {
            let error = copy(&file).unwrap_err();
            let told = match &error {
                WitError::UnsupportedContainer => "unsupported-container".into(),
                WitError::NoAudioTrack => "no-audio-track".into(),
                WitError::UnsupportedCodec(codec) => format!("unsupported-codec({codec:?})"),
                WitError::Malformed(_) => "malformed".into(),
                other => format!("{other:?}"),
            };
            assert_eq!(told, name, "{error:?}");
        }
        assert!(
            copy(&scattered).is_ok(),
            "chunks without samples do no harm"
        );
        let opus = samples::matroska("A_OPUS", samples::OPUS);
        assert!(matches!(
            extract(&opus, Encoding::Wav),
            Err(WitError::UnsupportedCodec(_))
        ));
        let large = Extraction::new(1 << 32, Encoding::Copy);
        assert!(matches!(large.next(), Err(WitError::TooLarge(_))));
        assert!(matches!(large.next(), Err(WitError::TooLarge(_))));
    }

    #[test]
    fn what_was_not_asked_for_is_refused_and_changes_nothing() {
        let file = samples::mp4();
        let extraction = Extraction::new(file.len() as u64, Encoding::Copy);
        assert!(matches!(
            extraction.supply(file.clone()),
            Err(WitError::NotAskedFor)
        ));
        let Ok(Step::Need(_)) = extraction.next() else {
            panic!("nothing needed");
        };
        assert!(matches!(
            extraction.supply(vec![0]),
            Err(WitError::NotAskedFor)
        ));
        extraction.supply(file).unwrap();
        assert!(matches!(extraction.next(), Ok(Step::Found(_))));
    }

    /// Do everything that can be done to a file. Nothing may panic, or come out
    /// larger than the file allows.
    fn try_all(file: &[u8]) {
        if let Ok((_, result)) = copy(file) {
            assert!(result.len() < 200_000 + file.len() * 20);
        }
        let _ = extract(file, Encoding::Wav);
    }

    #[test]
    fn files_cut_off_anywhere_do_not_panic() {
        for file in all_samples() {
            for len in (0..file.len()).step_by(7) {
                try_all(&file[..len]);
            }
        }
    }

    proptest! {
        #[test]
        fn garbage_does_not_panic(
            magic in prop::sample::select(vec![&b"\x1a\x45\xdf\xa3"[..], b"\0\0\0\x08ftyp"]),
            garbage in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            try_all(&[magic, &garbage].concat());
        }

        #[test]
        fn damaged_files_do_not_panic(
            index in any::<prop::sample::Index>(),
            damage in prop::collection::vec((0_usize..1600, any::<u8>()), 1..8),
        ) {
            let samples = all_samples();
            let mut file = index.get(&samples).clone();
            for (at, byte) in damage {
                let at = at % file.len();
                file[at] = byte;
            }
            try_all(&file);
        }
    }
}

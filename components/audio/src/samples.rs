//! Small files for the tests, made here. Their packets are noise: nothing but a
//! decoder reads them.

use mp4_atom::{
    Decode as _, Encode as _, Mfhd, Moof, Moov, Mvex, Stco, Stsc, Stsz, Stts, Tfhd, Traf, Trex,
    Trun, TrunEntry,
};

use crate::{
    m4a,
    packets::Packets,
    soundtracks::Container,
    timing::{Edit, Timing},
    track::{Description, Track},
    vorbis,
};

/// AAC of the low-complexity profile, 44.1 kHz, two channels.
pub(crate) const AAC: [u8; 2] = [0x12, 0x10];

/// Opus with two channels and a pre-skip of 312.
pub(crate) const OPUS: &[u8; 19] = b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0";

/// The packets of every sample, one after the other in this order.
pub(crate) fn packets() -> Vec<Vec<u8>> {
    let packet = |index: usize| {
        let noise = (0..20 + index % 50).map(move |at| (at * 31 + index * 7) as u8);
        // Read as Opus, 20 ms each; as Vorbis, a short block.
        std::iter::once(0xf8).chain(noise).collect()
    };
    (0..200).map(packet).collect()
}

/// The headers of a Vorbis stream, as far as they are read without decoding.
pub(crate) fn vorbis_headers() -> [Vec<u8>; 3] {
    let mut identification = b"\x01vorbis\0\0\0\0\x02\x44\xac\0\0".to_vec();
    identification.resize(28, 0);
    identification.extend([0xb8, 1]);
    let mut setup = b"\x05vorbis".to_vec();
    setup.extend(vorbis::tests::setup(&[false, true]));
    [identification, b"\x03vorbis".to_vec(), setup]
}

/// An M4A with the table of contents in front.
pub(crate) fn mp4() -> Vec<u8> {
    let packets = packets();
    let mut found = Packets::of(1 << 20);
    for packet in &packets {
        found.push(0, packet.len() as u32).unwrap();
    }
    let mut timing = Timing::new(44_100);
    timing.push(packets.len() as u32, 1024);
    let (start, length) = (1024, Some(200_000));
    timing.edit = Some(Edit { start, length });
    let track = Track {
        container: Container::Mp4,
        description: Description::aac(AAC.to_vec(), 0, 0),
        packets: found,
        duration_ms: timing.heard_ms(),
        timing,
        padding_samples: 0,
    };
    let mut file = m4a::head(&track, &AAC).unwrap();
    file.extend(packets.concat());
    file
}

/// Where the movie box of `mp4` is, and how long.
pub(crate) fn moov() -> (usize, usize) {
    let file = mp4();
    let start = file.windows(4).position(|kind| kind == b"moov").unwrap() - 4;
    let size = u32::from_be_bytes(*file[start..].first_chunk().unwrap());
    (start, size as usize)
}

/// Change the movie box of `mp4`.
pub(crate) fn mp4_with(change: impl FnOnce(&mut Moov)) -> Vec<u8> {
    let (file, (start, size)) = (mp4(), moov());
    let mut moov = Moov::decode(&mut &file[start..start + size]).unwrap();
    change(&mut moov);
    let mut changed = file[..start].to_vec();
    moov.encode(&mut changed).unwrap();
    changed.extend(&file[start + size..]);
    changed
}

/// The same with the table of contents at the end, and `gap` bytes of something
/// else before the packets.
pub(crate) fn mp4_last(gap: usize) -> Vec<u8> {
    let (file, (start, size)) = (mp4(), moov());
    let changed = mp4_with(|moov| {
        let stbl = &mut moov.trak[0].mdia.minf.stbl;
        for at in &mut stbl.stco.as_mut().unwrap().entries {
            *at = *at - size as u32 + gap as u32 + 8;
        }
    });
    let mut last = file[..start].to_vec();
    last.extend((gap as u32 + 8).to_be_bytes());
    last.extend(b"free");
    last.resize(last.len() + gap, 0x55);
    last.extend(&changed[start + size..]);
    last.extend(&changed[start..start + size]);
    last
}

/// The same in fragments of 50 packets, whose places are given in three ways.
pub(crate) fn mp4_fragmented() -> Vec<u8> {
    let start = moov().0;
    let mut file = mp4_with(|moov| {
        let stbl = &mut moov.trak[0].mdia.minf.stbl;
        stbl.stts = Stts::default();
        stbl.stsc = Stsc::default();
        stbl.stsz = Stsz::default();
        stbl.stco = Some(Stco::default());
        moov.mvex = Some(Mvex {
            mehd: None,
            trex: vec![Trex {
                track_id: 1,
                default_sample_duration: 1024,
                ..Trex::default()
            }],
        });
    });
    let moov = u32::from_be_bytes(*file[start..].first_chunk().unwrap());
    file.truncate(start + moov as usize);
    for (index, packets) in packets().chunks(50).enumerate() {
        let at = file.len() as u64;
        let mut base = 0;
        for _ in 0..2 {
            // The first time to learn the length.
            file.truncate(at as usize);
            fragment(index, at, base, packets)
                .encode(&mut file)
                .unwrap();
            base = file.len() as u64 + 8 - at;
        }
        let data = packets.concat();
        file.extend((data.len() as u32 + 8).to_be_bytes());
        file.extend(b"mdat");
        file.extend(data);
    }
    file
}

fn fragment(index: usize, at: u64, base: u64, packets: &[Vec<u8>]) -> Moof {
    let entry = |packet: &Vec<u8>| TrunEntry {
        size: Some(packet.len() as u32),
        ..TrunEntry::default()
    };
    let (first, second) = packets.split_at(20);
    let run = |packets: &[Vec<u8>], data_offset| Trun {
        data_offset,
        samples: packets.iter().map(entry).collect::<Vec<_>>().into(),
    };
    let is_explicit = index % 3 == 2;
    let offset = if is_explicit { 0 } else { base as i32 };
    Moof {
        mfhd: Mfhd::default(),
        traf: vec![Traf {
            tfhd: Tfhd {
                track_id: 1,
                base_data_offset: is_explicit.then_some(at + base),
                default_base_is_moof: index.is_multiple_of(3),
                ..Tfhd::default()
            },
            // The second run follows the first.
            trun: vec![run(first, Some(offset)), run(second, None)],
            ..Traf::default()
        }],
    }
}

/// An element with its content.
pub(crate) fn element(id: u32, content: &[u8]) -> Vec<u8> {
    let id = id.to_be_bytes();
    let zeros = id.iter().take_while(|byte| **byte == 0).count();
    let mut element = id[zeros..].to_vec();
    element.extend((0x1000_0000 | content.len() as u32).to_be_bytes());
    element.extend(content);
    element
}

/// A Matroska file of a video and an audio track. Packets stand alone, or laced in
/// one of three ways.
pub(crate) fn matroska(codec: &str, private: &[u8]) -> Vec<u8> {
    let audio = [
        element(0xb5, &44_100_f32.to_be_bytes()),
        element(0x9f, &[2]),
    ];
    let video = [element(0xd7, &[1]), element(0x83, &[1])].concat();
    let track = [
        element(0xd7, &[2]),
        element(0x83, &[2]),
        element(0x86, codec.as_bytes()),
        element(0x63a2, private),
        element(0xe1, &audio.concat()),
    ];
    let tracks = [element(0xae, &video), element(0xae, &track.concat())].concat();
    let mut file = element(0x1a45_dfa3, &element(0x4282, b"webm"));
    // A segment without a known size.
    file.extend([0x18, 0x53, 0x80, 0x67, 0xff]);
    file.extend(element(
        0x1549_a966,
        &element(0x4489, &5000_f64.to_be_bytes()),
    ));
    file.extend(element(0x1654_ae6b, &tracks));
    for (index, packets) in packets().chunks(50).enumerate() {
        let mut cluster = element(0xe7, &(index as u16 * 1000).to_be_bytes());
        cluster.extend(element(0xa3, &[0x81, 0, 0, 0, 9, 9, 9]));
        let (alone, laced) = packets.split_at(44);
        for packet in alone {
            let block = [&[0x82, 0, 0, 0x80], packet.as_slice()].concat();
            cluster.extend(element(0xa3, &block));
        }
        let (first, second) = laced.split_at(3);
        cluster.extend(element(0xa3, &xiph(first)));
        let group = [element(0xa1, &ebml(second)), element(0x9b, &[20])];
        cluster.extend(element(0xa0, &group.concat()));
        file.extend(element(0x1f43_b675, &cluster));
    }
    file
}

/// The private data of Vorbis in Matroska.
pub(crate) fn laced_headers() -> Vec<u8> {
    let headers = vorbis_headers();
    let [first, second, _] = headers.each_ref().map(|header| header.len() as u8);
    [&[2, first, second], headers.concat().as_slice()].concat()
}

fn xiph(packets: &[Vec<u8>]) -> Vec<u8> {
    let mut block = vec![0x82, 0, 0, 0x02, packets.len() as u8 - 1];
    block.extend(
        packets
            .iter()
            .rev()
            .skip(1)
            .rev()
            .map(|packet| packet.len() as u8),
    );
    block.extend(packets.concat());
    block
}

fn ebml(packets: &[Vec<u8>]) -> Vec<u8> {
    let sizes: Vec<u8> = packets.iter().map(|packet| packet.len() as u8).collect();
    let mut block = vec![0x82, 0, 0, 0x06, packets.len() as u8 - 1, 0x80 | sizes[0]];
    // 63 is the middle of what one byte can say.
    let differences = sizes.windows(2).map(|pair| 0x80 | (pair[1] + 63 - pair[0]));
    block.extend(differences.take(packets.len() - 2));
    block.extend(packets.concat());
    block
}
